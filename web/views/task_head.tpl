<div class="task-head" id="live-head" data-live>
<div class="heading">
  <h1>{{task["title"]}}</h1>
  <p class="actions">\\
% if "revise" in offered:
<a class="button" href="/tasks/{{task["id"]}}/edit">Edit</a>\\
% end
% if not task["erased_at"]:
 <a class="button" href="/tasks/new?from={{task["id"]}}">Use as template</a>\\
% end
</p>
</div>
<p class="tags">\\
% include("state.tpl", state=task["state"])
% if task["waiting"]:
 <span class="state waiting">question open</span>\\
% end
 <span><code class="id">{{task["id"]}}</code> <button type="button" class="quiet copy" data-copy="{{task["id"]}}" aria-label="Copy the id">Copy</button></span>\\
% if manifest.get("visibility") == "private":
 <span class="label private">private</span>\\
% end
% for label in task["labels"]:
 <a class="label" href="/tasks?label={{quote(label, safe="")}}">{{label}}</a>\\
% end
</p>
% if task["erased_at"]:
% erased = next((event for event in events if event["event"] == "erased"), None)
<div class="note bad erased" role="note">
  <p><strong>This task was erased</strong>\\
% if erased:
 by <a href="/actors/{{erased["actor"]}}">{{erased["actor"]}}</a>\\
% end
, {{!when(task["erased_at"], now)}}. The key to its content was destroyed: nobody can read its texts and files any more. What was done with it, by whom and when, stays in its history.</p>
  <p>Reason: {{task["reason"]}}</p>
</div>
% end
</div>
