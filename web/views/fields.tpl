% for field in fields:
% ident = f"{prefix}-{field.name}"
% value = values.get(field.name, "")
% wrong = errors.get(field.name, "")
% described = " ".join(filter(None, (f"{ident}-hint" if field.hint else "", f"{ident}-error" if wrong else "")))
% if field.kind == "options":
<fieldset class="field options" id="{{ident}}" tabindex="-1"\\
% if described:
 aria-describedby="{{described}}"\\
% end
>
  <legend>{{field.label}}</legend>
% if field.hint:
  <p class="hint" id="{{ident}}-hint">{{field.hint}}</p>
% end
% if wrong:
  <p class="error" id="{{ident}}-error">{{wrong}}</p>
% end
% for (choice, words_of_it), told in zip(field.choices, field.told):
  <div class="option"><input type="radio" id="{{ident}}-{{choice}}" name="{{field.name}}" value="{{choice}}"{{" checked" if choice == value else ""}} aria-describedby="{{ident}}-{{choice}}-hint">
    <label for="{{ident}}-{{choice}}">{{words_of_it}}</label>
    <p class="hint" id="{{ident}}-{{choice}}-hint">{{told}}</p></div>
% end
</fieldset>
% else:
<div class="field"\\
% if get("summed", False):
 data-short="{{field.short}}" data-empty="{{field.empty}}"\\
% end
>
  <label for="{{ident}}">{{field.label}}\\
% if field.required:
 <span class="needed">required</span>\\
% end
</label>
% if field.hint:
  <p class="hint" id="{{ident}}-hint">{{field.hint}}</p>
% end
% if wrong:
  <p class="error" id="{{ident}}-error">{{wrong}}</p>
% end
% if field.kind == "text":
  <textarea id="{{ident}}" name="{{field.name}}" rows="{{field.rows}}"\\
% include("marks.tpl", field=field, described=described, wrong=wrong)
>
{{value}}</textarea>
% elif field.kind == "choice":
  <select id="{{ident}}" name="{{field.name}}"\\
% include("marks.tpl", field=field, described=described, wrong=wrong)
>
% for choice, words_of_it in field.choices:
    <option value="{{choice}}"{{" selected" if choice == value else ""}}>{{words_of_it}}</option>
% end
  </select>
% else:
% kind = {"line": "text", "moment": "datetime-local", "files": "file", "folder": "file"}.get(field.kind, field.kind)
  <input id="{{ident}}" name="{{field.name}}" type="{{kind}}"\\
% if kind != "file":
 value="{{value}}"\\
% end
% if field.kind in ("files", "folder"):
 multiple\\
% end
% if field.kind == "folder":
 webkitdirectory\\
% end
% if field.kind == "number":
 min="{{field.least}}" max="{{field.most}}" inputmode="numeric"\\
% end
% if field.kind == "password":
 autocomplete="{{'new-password' if prefix in ('password', 'link') and field.name == 'password' else 'current-password'}}"\\
% elif prefix == "login":
 autocomplete="username" autocapitalize="none" spellcheck="false"\\
% end
% include("marks.tpl", field=field, described=described, wrong=wrong)
>
% end
</div>
% end
% end
