% hidden = {"csrf": visit.csrf, "fingerprint": key["fingerprint"], **({"actor": key["actor"]} if of else {})}
% ident = f"{key['actor']}-{key['number']}"
% said = f"{key['name']}, {key['fingerprint']}"
  <li class="entry">
    <div>\\
% if of:
<a href="/actors/{{key["actor"]}}">{{key["actor"]}}</a> · \\
% end
<strong>{{key["name"]}}</strong> <code class="id">{{key["fingerprint"]}}</code><br>
    <span class="meta">{{key["kind"]}}\\
% include("signing_times.tpl", key=key)
</span></div>
    <details class="amend" id="key-{{ident}}"{{" open" if attempt.values.get("fingerprint") == key["fingerprint"] else ""}}>
      <summary>Change<span class="unseen"> {{said}}</span></summary>
% if not key["retired_at"]:
      <div class="step">
        <p class="hint">If you no longer use it: it stops to count from now on, and what it signed stays good. It cannot come back.</p>
        <form method="post" action="{{base}}/retire">
% for name, value in hidden.items():
          <input type="hidden" name="{{name}}" value="{{value}}">
% end
          <p class="buttons"><button>Retire<span class="unseen"> {{said}}</span></button></p>
        </form>
      </div>
% end
      <div class="step">
        <p class="hint"><strong>Was it stolen, or lost?</strong> \\
% if key["compromised_at"]:
It is revoked already; you can only say that it was earlier.\\
% elif key["retired_at"]:
Everybody is told of what it signed from then on. Nobody can take that back.\\
% else:
It stops to count, and everybody is told of what it signed from then on. Nobody can take that back.\\
% end
</p>
% include("form.tpl", action=f"{base}/revoke", uploads=False, hidden=hidden, fields=forms["revoke"], prefix=f"revoke-{ident}", values=attempt.typed("revoke", key["fingerprint"]), errors=attempt.problems("revoke", key["fingerprint"]), tone="danger", button="Revoke")
      </div>
      <div class="step">
% include("form.tpl", action=f"{base}/rename", uploads=False, hidden=hidden, fields=forms["rename"], prefix=f"rename-{ident}", values=attempt.typed("rename", key["fingerprint"]) or {"name": key["name"]}, errors=attempt.problems("rename", key["fingerprint"]), tone="", button="Rename")
      </div>
    </details></li>
