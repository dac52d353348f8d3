% action = actions[command]
% tried = attempt.command == command
% tone = "danger" if command == "reject" else tone
% if not action.fields and not action.grave:
<div class="step {{tone}}-step" id="do-{{command}}">
% include("form.tpl", action=f"{address}/{command}", uploads=False, hidden=hidden[command], fields=(), prefix=command, values={}, errors={}, tone=tone, button=action.button)
% if action.hint:
  <p class="hint">{{action.hint}}</p>
% end
</div>
% else:
<details class="step {{tone}}-step" id="do-{{command}}"{{" open" if tried or command in ("approve", "reject") else ""}}>
  <summary>{{action.title}}{{"…" if action.grave else ""}}</summary>
% if action.hint:
  <p class="hint">{{action.hint}}</p>
% end
% include("form.tpl", action=f"{address}/{command}", uploads=action.uploads, hidden=hidden[command], fields=action.fields, prefix=command, values=attempt.typed(command), errors=attempt.problems(command), tone=tone, button=action.button)
</details>
% end
