% takes = next((field.name for field in fields if field.kind in ("files", "file")), "") if uploads else ""
% typed = any(field.kind == "text" for field in fields)
<form method="post" action="{{action}}"{{!' enctype="multipart/form-data"' if uploads else ''}}\\
% if takes:
 data-drop="{{takes}}"\\
% end
% if typed:
 data-draft="{{action}}"\\
% end
>
% for name, value in hidden.items():
  <input type="hidden" name="{{name}}" value="{{value}}">
% end
% include("fields.tpl", fields=fields, prefix=prefix, values=values, errors=errors)
  <p class="buttons"><button class="{{tone}}">{{button}}</button></p>
</form>
