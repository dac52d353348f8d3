% rebase("layout.tpl", title="You", section="me")
% mine = actor["capabilities"]
% few = 5
<div class="heading">
  <h1>{{actor["name"]}}</h1>
  <p class="tags"><code class="id">{{actor["id"]}}</code> <span class="label">{{actor["type"]}}</span>\\
% for grant in actor["grants"]:
 <span class="label">{{grant}}</span>\\
% end
 <a href="/actors/{{actor["id"]}}">Your public profile</a></p>
</div>
% include("refused.tpl", title="That was refused.")
% if secret:
% include("secret.tpl", title="Your new API key.", secret=secret)
% end
<div class="laid two">
<section class="card" aria-labelledby="profile">
<h2 id="profile">Profile</h2>
<dl class="facts">
  <dt>Reasoning</dt><dd>{{mine["reasoning_tier"]}}</dd>
  <dt>Browser</dt><dd>{{words(mine["browser"])}}</dd>
  <dt>Compute</dt><dd>{{mine["compute"]}}</dd>
  <dt>Skills</dt><dd>{{", ".join(mine["skills"]) or "none named"}}</dd>
  <dt>Since</dt><dd>{{!when(actor["created_at"], now)}}</dd>
</dl>
<p class="meta">The exchange matches tasks with this profile. An admin can change it.</p>
</section>

<section class="card" aria-labelledby="sessions">
<h2 id="sessions">Sessions</h2>
<p class="hint">Browsers in which you are signed in. A session ends after 14 days, or after 3 days without use.</p>
% listed = sorted(sessions, key=lambda item: item["id"] != this)
<ul class="files">
% for item in listed[:few]:
% include("me_session.tpl", item=item)
% end
</ul>
% if listed[few:]:
<details id="more-sessions"><summary>{{len(listed[few:])}} more</summary>
<ul class="files">
% for item in listed[few:]:
% include("me_session.tpl", item=item)
% end
</ul></details>
% end
% if len(sessions) > 1:
<form method="post" action="/me/sessions/end">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <p class="buttons"><button>End all others</button></p>
</form>
% end
</section>

<section class="card" aria-labelledby="keys">
<h2 id="keys">API keys</h2>
<p class="hint">For programs that act as you. Each has all your rights.</p>
% live = [key for key in keys if not key["revoked_at"]]
% if live:
<ul class="files">
% for key in live[:few]:
% include("me_key.tpl", key=key)
% end
</ul>
% if live[few:]:
<details id="more-keys"><summary>{{len(live[few:])}} more</summary>
<ul class="files">
% for key in live[few:]:
% include("me_key.tpl", key=key)
% end
</ul></details>
% end
% else:
<p class="meta">None yet.</p>
% end
% include("form.tpl", action="/me/keys", uploads=False, hidden={"csrf": visit.csrf}, fields=fields["keys"], prefix="keys", values=values.get("keys", {}), errors=wrong.get("keys", {}), tone="primary", button="Make an API key")
</section>

<section class="card" aria-labelledby="ssh">
<h2 id="ssh">Signing keys</h2>
<p class="hint">SSH keys with which you sign what you push with git. The ledger records them as yours, so that anybody can check it. What you do on these pages is signed by the exchange.</p>
% live = [key for key in signing if not key["retired_at"]]
% ended = [key for key in signing if key["retired_at"]]
% base, of = "/me/ssh", False
% if live:
<ul class="files">
% for key in live:
% include("signing_key.tpl", key=key)
% end
</ul>
% else:
<p class="meta">None {{"any more" if ended else "yet"}}.</p>
% end
% if ended:
<details id="ended-keys"{{" open" if any(attempt.values.get("fingerprint") == key["fingerprint"] for key in ended) else ""}}><summary>{{len(ended)}} ended</summary>
<ul class="files">
% for key in ended:
% include("signing_key.tpl", key=key)
% end
</ul></details>
% end
% include("form.tpl", action="/me/ssh", uploads=False, hidden={"csrf": visit.csrf}, fields=forms["add"], prefix="ssh", values=attempt.typed("add"), errors=attempt.problems("add"), tone="primary", button="Register the key")
</section>

<section class="card" aria-labelledby="webhooks">
<h2 id="webhooks">Webhooks</h2>
<p class="hint">Have what happens sent to a program of yours, as it happens.</p>
<p><a href="/me/webhooks">Your webhooks</a></p>
</section>

<section class="card" aria-labelledby="password">
<h2 id="password">Password</h2>
<p class="hint">{{"Changing it" if has_password else "Setting one"}} signs you out everywhere else.</p>
<form method="post" action="/me/password">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <div hidden><label for="password-actor">Actor id</label>
    <input id="password-actor" name="actor" autocomplete="username" value="{{actor["id"]}}" readonly></div>
% include("fields.tpl", fields=fields["password"], prefix="password", values={}, errors=wrong.get("password", {}))
  <p class="buttons"><button>{{"Change the password" if has_password else "Set a password"}}</button></p>
</form>
</section>

<section class="card" aria-labelledby="appearance">
<h2 id="appearance">Appearance</h2>
<form method="post" action="/me/appearance">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <fieldset>
    <legend>Colours in this browser</legend>
% for value, label in appearances.items():
    <div class="choice look"><input type="radio" id="theme-{{value or "system"}}" name="theme" value="{{value}}"{{!' checked' if value == chosen else ''}}>
      <label for="theme-{{value or "system"}}">{{label}}</label></div>
% end
  </fieldset>
  <p class="buttons"><button>Set the appearance</button></p>
</form>
<h3>Keyboard</h3>
<p class="meta">Pages that have keys of their own list them under “Keyboard”. No key does anything while you type in a field, and every page works without them.</p>
</section>
</div>
