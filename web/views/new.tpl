% rebase("layout.tpl", title="New task")
<div class="heading wide">
  <h1>New task</h1>
  <p class="actions"><a href="#package">Upload a package</a></p>
</div>
<form method="get" action="/tasks/new#write" class="filters begin">
  <div class="field grow">
    <label for="from">Start from</label>
    <select id="from" name="from">
      <option value="">an empty form</option>
% listed = latest + ([source] if source and source.id not in {task.id for task in latest} else [])
% for task in listed:
      <option value="{{task.id}}"{{" selected" if source and source.id == task.id else ""}}>{{task.manifest.title}} ({{task.id}})</option>
% end
    </select>
  </div>
  <p class="buttons"><button>Fill in</button></p>
</form>
% include("refused.tpl", title="The task was not created.", files=True)
<form method="post" action="/tasks/new" enctype="multipart/form-data" class="wide write" id="write" data-drop="input" data-draft="new">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <input type="hidden" name="request_id" value="{{request_id}}">
% if source:
  <input type="hidden" name="from" value="{{source.id}}">
  <div class="note">
    <p>Begun from <a href="/tasks/{{source.id}}">{{source.manifest.title}}</a>{{" which is private, and so is this one unless you say otherwise" if source.manifest.private else ""}}.</p>
% if taken:
    <label><input type="checkbox" name="take_files" value="yes"{{" checked" if values.get("take_files") else ""}}> Take its {{len(taken)}} {{"file" if len(taken) == 1 else "files"}} too ({{size(sum(file.size for file in taken))}})</label>
% end
  </div>
% end
% include("write.tpl")
  <fieldset class="audience">
% include("fields.tpl", fields=[fields_of.VISIBILITY])
    <div class="readers">
% include("fields.tpl", fields=[fields_of.READERS])
    </div>
  </fieldset>
% include("terms.tpl")
  <p class="buttons send">
    <button class="primary" name="as" value="published">Publish</button>
    <button name="as" value="draft">Save as draft</button>
  </p>
</form>
<section class="card wide" id="package">
<h2>Or upload a package</h2>
% include("parcel.tpl", prefix="package", errors={})
</section>
