<form method="post" action="{{action}}"{{!' enctype="multipart/form-data"' if uploads else ''}}>
% for name, value in hidden.items():
  <input type="hidden" name="{{name}}" value="{{value}}">
% end
% include("fields.tpl", fields=fields, prefix=prefix, values=values, errors=errors)
  <p class="buttons"><button class="{{tone}}">{{button}}</button></p>
</form>
