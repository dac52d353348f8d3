% rebase("layout.tpl", title="Maintenance", section="admin")
<div class="heading"><h1>Maintenance</h1></div>
% include("admin_nav.tpl", here="maintenance")
% include("refused.tpl", title="That was not begun.")
<p class="article">One piece of work goes on at a time, in the background; the exchange serves on meanwhile. What came of it is kept here until the program ends.</p>
<div id="works" data-live>
% if going:
<section class="note warn" data-going aria-labelledby="going">
  <h2 id="going">Going on: {{works[going.name][0].lower()}}</h2>
  <p>Begun by {{going.by}} {{!when(at(going.begun_at), now, short=True)}}.\\
% if going.total:
 <progress max="{{going.total}}" value="{{going.done}}" aria-label="How far it is"></progress> {{f"{going.done:,}"}} of {{f"{going.total:,}"}}\\
% end
</p>
  <p><a href="/admin/maintenance">Look again</a></p>
</section>
% end
<div class="laid two">
% for name, (title, told, button) in works.items():
% last = ended.get(name)
<section class="card" aria-labelledby="{{name}}">
<h2 id="{{name}}">{{title}}</h2>
<p>{{told}}</p>
% if name == "vault" and master:
<p class="meta">Now: master key <code>{{master[0].name}}</code>, made {{!when(at(master[0].made_at), now, short=True)}}\\
% if master[1] > 1:
; an older one is still there, which the next change removes\\
% end
. The same on the machine: <code>taskrepo vault rotate</code></p>
% end
% if last:
<div class="note {{"bad" if last.failed else "good"}}">
  <p><strong>{{"Did not go well" if last.failed else "Done"}}</strong> {{!when(at(last.ended_at), now, short=True)}}, asked for by {{last.by}}, in {{span(took(last))}}.</p>
  <p>{{last.said}}</p>
</div>
% if last.checks:
<details id="last-{{name}}"{{!" open" if last.failed else ""}}>
<summary>What was looked at</summary>
<ul class="files">
% for check in last.checks:
  <li><span class="state {{"approved" if check.ok else "failed"}}">{{"well" if check.ok else "wrong"}}</span> <strong>{{check.name}}</strong><br><span class="meta">{{check.found}}</span></li>
% end
</ul>
</details>
% end
% end
% if going:
<p class="meta">{{"Going on now." if going.name == name else "Can be begun when the other has ended."}}</p>
% else:
<details class="step" id="begin-{{name}}">
  <summary>{{button}} …</summary>
  <form method="post" action="/admin/maintenance/{{name}}">
    <input type="hidden" name="csrf" value="{{visit.csrf}}">
    <p class="buttons"><button class="{{"danger" if name == "vault" else "primary"}}">{{button}} now</button></p>
  </form>
</details>
% end
</section>
% end
</div>
</div>
