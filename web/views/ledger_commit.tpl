% short = event["commit"][:12]
% rebase("layout.tpl", title=f"Commit {short}", section="ledger")
<p class="crumb"><a href="/ledger">Ledger</a></p>
<div class="heading">
  <h1>Commit <span class="id">{{short}}</span></h1>
  <p class="tags"><span class="seal {{seal.tone}}">{{seal.short}}</span></p>
  <a class="button" href="/ledger/{{event["commit"]}}/board">The board as of here</a>
</div>
<p class="told"><a href="/actors/{{event["actor"]}}">{{event["actor"]}}</a> \\
% if event["task"]:
<strong>{{words(event["event"])}}</strong> <a href="/tasks/{{event["task"]}}">{{title}}</a>\\
% if event["to"] and event["to"] != event["from"]:
 <span class="muted">({{event["from"] or "nothing"}} → {{event["to"]}})</span>\\
% end
% else:
caused the event <strong>{{words(event["event"])}}</strong> in <code>{{event["record"]}}</code>\\
% end
, {{!when(event["at"], now)}}, {{door}}.</p>
% include("ledger_steps.tpl", folder="", label="Commits beside this one")
<div class="columns">
<div class="main">
<section aria-labelledby="message">
<h2 id="message">Message</h2>
<pre tabindex="0">{{message}}</pre>
<dl class="facts trailers">
% for name, meaning, value in trailers:
  <dt><code>{{name}}</code></dt><dd>{{meaning}}: \\
% if name in ("Previous", ):
<a class="id" href="/ledger/{{value}}">{{value[:12]}}</a>\\
% else:
<code>{{value}}</code>\\
% end
</dd>
% end
</dl>
</section>
<section aria-labelledby="changed">
<h2 id="changed">Files it changed</h2>
% if changes:
<ul class="files changes">
% for change, path in changes:
  <li><span class="change {{change}}">{{change}}</span> <code>{{path}}</code></li>
% end
</ul>
% if more:
<p class="meta">And more; <code>git show --stat {{event["commit"]}}</code> lists them all.</p>
% end
% else:
<p class="meta">None.</p>
% end
</section>
</div>
<aside class="last" aria-label="Signatures and identity">
<section class="card" aria-labelledby="signed">
<h2 id="signed">Signatures</h2>
% for sentence in seal.sentences:
<p>{{sentence}}</p>
% end
<p class="hint">Checked just now, over the commit's own bytes, by the keys that counted at this place of the ledger, and by what is known of them now. In a clone:</p>
% include("ledger_commands.tpl", commands=checks)
</section>
<section class="card" aria-labelledby="object">
<h2 id="object">Object</h2>
<dl class="facts">
  <dt>Commit</dt><dd><code>{{event["commit"]}}</code></dd>
  <dt>Tree</dt><dd><code>{{tree}}</code></dd>
% for parent in parents:
  <dt>Parent</dt><dd><code>{{parent}}</code></dd>
% end
  <dt>Author</dt><dd>{{author.name}} ({{author.id}})</dd>
  <dt>Committer</dt><dd>{{committer.name}} ({{committer.id}})</dd>
</dl>
</section>
</aside>
</div>
