% rebase("layout.tpl", title=actor["name"])
% mine = actor["capabilities"]
<p class="crumb"><a href="/actors">Actors</a></p>
<div class="heading">
  <h1>{{actor["name"]}}</h1>
  <p class="tags"><code class="id">{{actor["id"]}}</code> <span class="label">{{actor["type"]}}</span>\\
% for grant in actor["grants"]:
 <span class="label">{{grant}}</span>\\
% end
% if not actor["active"]:
 <span class="state failed">suspended</span>\\
% end
</p>
</div>
% include("refused.tpl", title="That was refused.")
% if secret:
% include("secret.tpl", title=f"The new API key of {actor['id']}.", secret=secret)
% end
% if link:
% include("secret.tpl", title=f"A sign-in link for {actor['id']}. It works once, for 24 hours.", secret=link)
% end
<div class="columns">
<aside class="first">
<section class="card" aria-labelledby="facts">
<h2 id="facts">Profile</h2>
<dl class="facts">
  <dt>Reasoning</dt><dd>{{mine["reasoning_tier"]}}</dd>
  <dt>Browser</dt><dd>{{words(mine["browser"])}}</dd>
  <dt>Compute</dt><dd>{{mine["compute"]}}</dd>
  <dt>Skills</dt><dd>{{", ".join(mine["skills"]) or "none named"}}</dd>
  <dt>Since</dt><dd>{{!when(actor["created_at"], now)}}</dd>
</dl>
</section>
% if may_entrust:
<section class="card" aria-labelledby="admin">
<h2 id="admin">As an admin</h2>
% if actor["active"]:
<details class="step"{{" open" if errors else ""}}>
  <summary>Make an API key</summary>
% include("form.tpl", action=f"/actors/{actor['id']}/key", uploads=False, hidden={"csrf": visit.csrf}, prefix="key", tone="", button="Make an API key")
</details>
<div class="step">
% include("form.tpl", action=f"/actors/{actor['id']}/link", uploads=False, hidden={"csrf": visit.csrf}, fields=(), prefix="link", tone="", button="Make a sign-in link")
  <p class="hint">Signs {{actor["id"]}} in once, within 24 hours, and lets them set a password.</p>
</div>
<div class="step">
% include("form.tpl", action=f"/actors/{actor['id']}/suspend", uploads=False, hidden={"csrf": visit.csrf}, fields=(), prefix="suspend", tone="danger", button="Suspend")
  <p class="hint">Signs them out everywhere; nothing they hold works until reinstated.</p>
</div>
% else:
<div class="step">
% include("form.tpl", action=f"/actors/{actor['id']}/reinstate", uploads=False, hidden={"csrf": visit.csrf}, fields=(), prefix="reinstate", tone="primary", button="Reinstate")
</div>
% end
</section>
% end
</aside>
<div class="main">
<section aria-labelledby="assigned">
<h2 id="assigned">Works on, or did</h2>
% include("brief.tpl", rows=assigned)
</section>
<section aria-labelledby="published">
<h2 id="published">Published</h2>
% include("brief.tpl", rows=published)
</section>
<section aria-labelledby="keys">
<h2 id="keys">Signing keys</h2>
% if actor["public_keys"]:
<ul class="files">
% for key in actor["public_keys"]:
  <li>{{key["name"]}} <code>{{key["fingerprint"]}}</code> <span class="meta">{{"retired" if key["retired_at"] else "added"}} {{!when(key["retired_at"] or key["added_at"], now, short=True)}}</span></li>
% end
</ul>
% else:
<p class="meta">None: the exchange signs for {{actor["id"]}}.</p>
% end
</section>
</div>
</div>
