% rebase("layout.tpl", title="New task")
<h1>New task</h1>
<p class="meta">Is it a package already? <a href="#package">Upload it</a>.</p>
% package_tried = values.get("form") == "package"
% include("refused.tpl", title="The task was not created.", files=not package_tried)
<form method="post" action="/tasks/new" enctype="multipart/form-data" class="wide">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <input type="hidden" name="request_id" value="{{request_id}}">
% wrong = {} if package_tried else errors
% include("fields.tpl", fields=work, prefix="new", errors=wrong)
  <h2>Material</h2>
% include("fields.tpl", fields=material, prefix="new", errors=wrong)
  <h2>Terms</h2>
  <div class="grid">
% include("fields.tpl", fields=terms, prefix="new", errors=wrong)
  </div>
  <p class="buttons">
    <button class="primary" name="as" value="published">Publish</button>
    <button name="as" value="draft">Save as draft</button>
  </p>
</form>
<section class="card" id="package">
<h2>Or upload a package</h2>
<form method="post" action="/tasks/new" enctype="multipart/form-data">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <input type="hidden" name="request_id" value="p-{{request_id}}">
  <input type="hidden" name="form" value="package">
% include("fields.tpl", fields=package, prefix="package", values={}, errors=errors if package_tried else {})
  <p class="buttons">
    <button name="as" value="published">Publish the package</button>
    <button name="as" value="draft">Save as draft</button>
  </p>
</form>
</section>
