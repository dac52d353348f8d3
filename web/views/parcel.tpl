<form method="post" action="/tasks/new/package" enctype="multipart/form-data" data-drop="package" data-drop-package>
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
% include("fields.tpl", fields=package, values={})
  <p class="buttons"><button>Look inside</button> <span class="hint">Nothing is published before you have seen what it holds.</span></p>
</form>
