% rebase("layout.tpl", title="You")
<div class="heading">
  <h1>{{actor["name"]}}</h1>
  <p class="tags"><code class="id">{{actor["id"]}}</code> <span class="label">{{actor["type"]}}</span> <a href="/actors/{{actor["id"]}}">Your profile</a></p>
</div>
% include("refused.tpl", title="That was refused.")
% if secret:
% include("secret.tpl", title="Your new API key.", secret=secret)
% end
<div class="cards">
<section class="card" aria-labelledby="keys">
<h2 id="keys">API keys</h2>
<p class="hint">For programs that act as you. Each has all your rights.</p>
% live = [key for key in keys if key.revoked_at is None]
% if live:
<ul class="files">
% for key in live:
  <li>{{key.name}} <code>tr_{{key.id}}_…</code>
    <form method="post" action="/me/keys/{{key.id}}/revoke" class="inline">
      <input type="hidden" name="csrf" value="{{visit.csrf}}">
      <button class="quiet">Revoke<span class="unseen"> {{key.name}}</span></button>
    </form></li>
% end
</ul>
% else:
<p class="meta">None yet.</p>
% end
% include("form.tpl", action="/me/keys", uploads=False, hidden={"csrf": visit.csrf}, fields=fields["keys"], prefix="keys", values=values.get("keys", {}), errors=wrong.get("keys", {}), tone="primary", button="Make an API key")
</section>
<section class="card" aria-labelledby="ssh">
<h2 id="ssh">SSH keys</h2>
<p class="hint">The ledger records them as yours, so that anybody can check what you sign elsewhere. Your steps here are signed by the exchange.</p>
% live = [key for key in actor["public_keys"] if not key["retired_at"]]
% if live:
<ul class="files">
% for key in live:
  <li>{{key["name"]}} <code>{{key["fingerprint"]}}</code>
    <form method="post" action="/me/ssh/retire" class="inline">
      <input type="hidden" name="csrf" value="{{visit.csrf}}">
      <input type="hidden" name="fingerprint" value="{{key["fingerprint"]}}">
      <button class="quiet">Retire<span class="unseen"> {{key["name"]}}</span></button>
    </form></li>
% end
</ul>
% else:
<p class="meta">None yet.</p>
% end
% include("form.tpl", action="/me/ssh", uploads=False, hidden={"csrf": visit.csrf}, fields=fields["ssh"], prefix="ssh", values=values.get("ssh", {}), errors=wrong.get("ssh", {}), tone="", button="Register the key")
</section>
<section class="card" aria-labelledby="password">
<h2 id="password">Password</h2>
<p class="hint">{{"Changing it" if has_password else "Setting one"}} signs you out everywhere else.</p>
% include("form.tpl", action="/me/password", uploads=False, hidden={"csrf": visit.csrf}, fields=fields["password"], prefix="password", values={}, errors=wrong.get("password", {}), tone="", button="Change the password" if has_password else "Set a password")
</section>
</div>
