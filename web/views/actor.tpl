% rebase("layout.tpl", title=actor["name"], section="actors")
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
% if secret and connect:
<p class="note good" role="status"><strong>The new API key of {{actor["id"]}} is in the first lines below.</strong> It is shown only now: copy it before you leave this page.</p>
% elif secret:
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
  <dt>Can</dt><dd>{{capabilities}}</dd>
  <dt>Standing</dt><dd>{{"active" if actor["active"] else "suspended: nothing they hold works until reinstated"}}{{", admin" if "admin" in actor["grants"] else ""}}</dd>
  <dt>Since</dt><dd>{{!when(actor["created_at"], now)}}</dd>
</dl>
</section>
</aside>
<div class="main">
% if secret and connect:
% include("connect.tpl")
% end
<section id="work" data-live aria-labelledby="work-title">
<h2 id="work-title">In hand</h2>
% if held:
<ul class="files">
% for row in held:
  <li><a href="/tasks/{{row["id"]}}">{{row["title"]}}</a> \\
% include("state.tpl", state=row["state"])
 <span class="meta">\\
% if row["percent"] is not None:
<progress max="100" value="{{row["percent"]}}" aria-label="Progress of {{row["title"]}}"></progress> {{row["percent"]}}%; \\
% end
{{!"waits for an answer; the lease stands still" if row["paused"] else "the lease ends " + when(row["until"], now, short=True)}}</span></li>
% end
</ul>
% else:
<p class="meta">Nothing is held just now.</p>
% end
% had = [each for each in (("claimed", "claimed"), ("running", "running"), ("submitted", "under review"), ("rejected", "rejected, to rework")) if counts.get(each[0])]
% if had:
<p class="meta">\\
% for place, (state, label) in enumerate(had):
{{", " if place else ""}}<a href="/tasks?q=assignee:{{actor["id"]}}+state:{{state}}">{{counts[state]}} {{label}}</a>\\
% end
</p>
% end
% if to_review:
<h3>Waits for their review</h3>
% include("brief.tpl", rows=to_review)
% end
</section>
<section id="figures" data-live aria-labelledby="figures-title">
<h2 id="figures-title">How it went</h2>
<p class="hint"{{!" data-soon" if reading else ""}}>{{note}}</p>
% if figures:
<ul class="tallies wide">
% for name, value, of in figures:
  <li><div>{{name}} <strong>{{value}}</strong> <span class="meta">{{of}}</span></div></li>
% end
</ul>
% end
% if plots:
<div class="plots">
% for plot in plots:
% include("plot.tpl", plot=plot)
% end
</div>
% end
</section>
<section id="steps" data-live aria-labelledby="steps-title">
<h2 id="steps-title">Latest steps</h2>
% if steps:
<ul class="files activity">
% for step in steps:
  <li>{{words(step["event"])}} <a href="/tasks/{{step["task"]}}">{{step["title"]}}</a> <span class="meta">{{!when(step["at"], now, short=True)}} · <a href="/ledger/{{step["commit"]}}"><code>{{step["commit"][:8]}}</code></a></span></li>
% end
</ul>
% else:
<p class="meta">None on a task yet.</p>
% end
</section>
% if connect and not secret:
% include("connect.tpl")
% end
<section id="assigned" data-live aria-labelledby="assigned-title">
<h2 id="assigned-title">Works on, or did</h2>
% include("brief.tpl", rows=assigned)
</section>
<section id="published" data-live aria-labelledby="published-title">
<h2 id="published-title">Published</h2>
% include("brief.tpl", rows=published)
</section>
</div>
<div class="last">
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
<section class="card" aria-labelledby="keys">
<h2 id="keys">Signing keys</h2>
% if signing:
<ul class="files">
% for key in signing:
  <li><strong>{{key["name"]}}</strong> <code class="id">{{key["fingerprint"]}}</code><br>
    <span class="meta">{{key["kind"]}}\\
% include("signing_times.tpl", key=key)
</span></li>
% end
</ul>
% else:
<p class="meta">None: the exchange signs for {{actor["id"]}}.</p>
% end
% if actor["id"] == visit.actor.id:
<p class="meta"><a href="/me#ssh">Add and change them</a></p>
% elif visit.actor.is_admin:
<p class="meta"><a href="/admin/keys?actor={{actor["id"]}}#signing">Add and change them</a></p>
% end
</section>
</div>
</div>
