% rebase("layout.tpl", title=f"Edit {task.manifest.title}", section="tasks")
<p class="crumb"><a href="/tasks/{{task.id}}">Back to the task</a></p>
<h1>Edit “{{task.manifest.title}}”</h1>
% include("refused.tpl", title="Nothing was saved.", files=True)
% if error and error.code == "precondition-failed":
<p class="note">Somebody, perhaps you, changed the task since this form was opened. <a href="/tasks/{{task.id}}">Look at it</a>; sending the form again overwrites what it shows.</p>
% end
<form method="post" action="/tasks/{{task.id}}/edit" enctype="multipart/form-data" class="wide write" id="write" data-drop="input" data-draft="edit-{{task.id}}">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <input type="hidden" name="request_id" value="{{request_id}}">
  <input type="hidden" name="if_match" value="{{values.get("if_match", "")}}">
  <input type="hidden" name="visibility" value="{{values.get("visibility", "")}}">
% include("write.tpl")
% held = [f for f in task.files if f.path != "README.md"]
% if held:
  <h3>Files it has</h3>
  <p class="hint">Removing one saves the rest of this form too. A new file of the same path replaces the old one.</p>
  <ul class="files">
% for file in held[:200]:
    <li>{{file.path}} <span class="meta">{{size(file.size)}}</span> <button class="quiet" name="drop" value="{{file.path}}">Remove<span class="unseen"> {{file.path}}</span></button></li>
% end
  </ul>
% if len(held) > 200:
  <p class="hint">And {{len(held) - 200}} more, which the API can remove.</p>
% end
% end
% if task.manifest.private:
  <h2>Who may see it</h2>
  <p class="hint">Only its people: the task is private, and stays so.</p>
% include("fields.tpl", fields=[fields_of.READERS])
% else:
  <p class="hint">Everybody may see the task; that cannot change any more.</p>
% end
% include("terms.tpl")
% if task.manifest.external_id:
  <p class="hint">Your own id for it, which cannot change: {{task.manifest.external_id}}</p>
% end
  <p class="buttons send"><button class="primary">Save version {{task.version + 1}}</button></p>
</form>
