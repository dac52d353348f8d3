% if rows:
<ul class="files">
% for row in rows:
  <li><a href="/tasks/{{row["id"]}}">{{row["title"]}}</a> \\
% include("state.tpl", state=row["state"])
 <span class="meta">{{!when(row["updated_at"], now, short=True)}}</span></li>
% end
</ul>
% else:
<p class="meta">None yet.</p>
% end
