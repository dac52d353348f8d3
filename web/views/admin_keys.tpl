% rebase("layout.tpl", title="Keys and sessions", section="admin")
<div class="heading"><h1>Keys and sessions</h1></div>
% include("admin_nav.tpl", here="keys")
% include("refused.tpl", title="That was refused.")
<form class="filters" method="get" action="/admin/keys">
  <div class="field">
    <label for="actor">Actor</label>
    <input id="actor" name="actor" maxlength="39" autocapitalize="none" spellcheck="false" value="{{actor[:39]}}">
  </div>
  <p class="buttons"><button>Show</button>\\
% if actor:
 <a href="/admin/keys">Show all</a>\\
% end
</p>
</form>
% if odd:
<p class="note warn">“{{actor[:60]}}” is not an actor’s id; everything is shown.</p>
% end
% narrowed = f"&actor={quote(actor)}" if actor and not odd else ""
<section aria-labelledby="keys">
<h2 id="keys">API keys in use</h2>
<p class="hint">Whoever holds a key acts as its actor. A key that is revoked works nowhere from that moment on.</p>
% if keys:
<div class="scroll credentials" role="region" tabindex="0" aria-label="Table of API keys">
<table class="stacked">
  <thead><tr><th scope="col">Actor</th><th scope="col">Name</th><th scope="col">Key</th><th scope="col">Made</th><th scope="col">Last used</th><th scope="col"><span class="unseen">Revoke</span></th></tr></thead>
  <tbody>
% for key in keys:
  <tr><td>\\
% if key["actor"] in known:
<a href="/actors/{{key["actor"]}}">{{key["actor"]}}</a>\\
% else:
{{key["actor"]}} <span class="label">unknown here</span>\\
% end
</td><td>{{key["name"]}}</td><td><code class="id">tr_{{key["id"]}}_…</code></td><td data-head="made">{{!when(key["created_at"], now, short=True)}}</td><td data-head="used">{{!when(key["last_used_at"], now, short=True) if key["last_used_at"] else "never"}}</td>
    <td><details id="key-{{key["id"]}}"><summary>Revoke<span class="unseen"> {{key["name"]}} of {{key["actor"]}}</span></summary>
      <form method="post" action="/admin/keys/{{key["id"]}}/revoke">
        <input type="hidden" name="csrf" value="{{visit.csrf}}">
        <button class="danger">Revoke it for good</button>
      </form></details></td></tr>
% end
  </tbody>
</table>
</div>
% else:
<p class="empty"><strong>No API keys{{" of " + actor if narrowed else ""}}.</strong> An actor makes keys on their own page, an admin on the <a href="/actors">actor’s</a>.</p>
% end
% if later or next:
<nav class="pages" aria-label="Pages of keys">
% if later:
  <a href="/admin/keys{{"?" + narrowed[1:] if narrowed else ""}}">First</a>
% end
% if next:
  <a href="/admin/keys?after={{quote(next)}}{{narrowed}}">Next</a>
% end
</nav>
% end
</section>
<section aria-labelledby="signing">
<h2 id="signing">Signing keys</h2>
<p class="hint">With which people sign what they push with git. Each is an event of the ledger. {{"" if narrowed else "Those that have ended are shown when you ask for their actor."}}</p>
% base, of = "/admin/ssh", True
% if signing:
<ul class="files keyring">
% for key in signing:
% include("signing_key.tpl", key=key)
% end
</ul>
% else:
<p class="empty"><strong>No signing keys{{" of " + actor if narrowed else ""}}.</strong> The exchange signs for whoever has none.</p>
% end
% if signing_started or next_signing:
<nav class="pages" aria-label="Pages of signing keys">
% if signing_started:
  <a href="/admin/keys{{"?" + narrowed[1:] if narrowed else ""}}#signing">First</a>
% end
% if next_signing:
  <a href="/admin/keys?signing={{quote(next_signing)}}{{narrowed}}#signing">Next</a>
% end
</nav>
% end
<details class="narrow" id="new-signing-key"{{" open" if attempt.about("add") else ""}}><summary>Register a key for somebody</summary>
% include("form.tpl", action="/admin/ssh/add", uploads=False, hidden={"csrf": visit.csrf}, fields=new_key, prefix="ssh", values=attempt.typed("add") or {"actor": actor if narrowed else ""}, errors=attempt.problems("add"), tone="primary", button="Register the key")
</details>
</section>
<section aria-labelledby="signed">
<h2 id="signed">Passwords and sessions</h2>
<p class="hint">Who can sign in with a password, or is signed in. To take everything from somebody at once, suspend them on their page.</p>
% if signed:
<div class="scroll credentials" role="region" tabindex="0" aria-label="Table of passwords and sessions">
<table class="stacked">
  <thead><tr><th scope="col">Actor</th><th scope="col">Password set</th><th scope="col" class="number">Sessions</th><th scope="col">Last seen</th><th scope="col"><span class="unseen">End sessions</span></th></tr></thead>
  <tbody>
% for item in signed:
  <tr><td>\\
% if item.actor in known:
<a href="/actors/{{item.actor}}">{{item.actor}}</a>\\
% else:
{{item.actor}} <span class="label">unknown here</span>\\
% end
</td><td data-head="password">{{!when(at(item.password_at), now, short=True) if item.password_at is not None else "none"}}</td><td class="number" data-head="sessions">{{item.sessions}}</td><td data-head="seen">{{!when(at(item.seen_at), now, short=True)}}</td>
    <td>\\
% if item.sessions and item.actor in known:
<details id="sessions-{{item.actor}}"><summary>End<span class="unseen"> the sessions of {{item.actor}}</span></summary>
      <form method="post" action="/admin/sessions/{{item.actor}}/end">
        <input type="hidden" name="csrf" value="{{visit.csrf}}">
        <button class="danger">{{"End all but this one" if item.actor == visit.actor.id else "End all " + str(item.sessions) if item.sessions > 1 else "End it"}}</button>
      </form></details>\\
% end
</td></tr>
% end
  </tbody>
</table>
</div>
% else:
<p class="empty"><strong>Nobody{{" of that id" if narrowed else ""}} has a password or a session.</strong> Sign-in links are made on the <a href="/actors">actor’s page</a>.</p>
% end
% if later_signed or next_signed:
<nav class="pages" aria-label="Pages of passwords and sessions">
% if later_signed:
  <a href="/admin/keys{{"?" + narrowed[1:] if narrowed else ""}}">First</a>
% end
% if next_signed:
  <a href="/admin/keys?from={{quote(next_signed)}}{{narrowed}}#signed">Next</a>
% end
</nav>
% end
</section>
