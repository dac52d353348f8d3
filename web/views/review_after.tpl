% if after:
<p class="note good" role="status">You {{after["decision"]}} “{{after["title"]}}” by {{after["by"]}}. <a href="/tasks/{{after["id"]}}">Back to that task</a></p>
% end
