% rebase("layout.tpl", title=f"Edit {task.manifest.title}")
<p class="crumb"><a href="/tasks/{{task.id}}">Back to the task</a></p>
<h1>Edit “{{task.manifest.title}}”</h1>
% include("refused.tpl", title="Nothing was saved.", files=True)
% if error and error.code == "precondition-failed":
<p class="note">Somebody, perhaps you, changed the task since this form was opened. <a href="/tasks/{{task.id}}">Look at it</a>; sending the form again overwrites what it shows.</p>
% end
<form method="post" action="/tasks/{{task.id}}/edit" enctype="multipart/form-data" class="wide">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <input type="hidden" name="request_id" value="{{request_id}}">
  <input type="hidden" name="if_match" value="{{values.get("if_match", "")}}">
% include("fields.tpl", fields=work, prefix="edit")
  <h2>Material</h2>
% include("fields.tpl", fields=material, prefix="edit")
  <h2>Terms</h2>
  <div class="grid">
% include("fields.tpl", fields=terms, prefix="edit")
  </div>
  <p class="buttons"><button class="primary">Save version {{task.version + 1}}</button></p>
% held = [f for f in task.files if f.path != "README.md"]
% if held:
  <h2>Files it has</h2>
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
</form>
