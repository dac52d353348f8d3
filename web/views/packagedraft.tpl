% rebase("layout.tpl", title="A package to publish")
% manifest = inside.manifest
<p class="crumb"><a href="/tasks/new">New task</a></p>
<div class="heading">
  <h1>{{manifest.title if manifest else "A package to publish"}}</h1>
  <p class="tags"><span class="label">not published</span>\\
% if manifest and manifest.private:
 <span class="label private">private</span>\\
% end
% for label in (manifest.labels if manifest else ()):
 <span class="label">{{label}}</span>\\
% end
</p>
</div>
% include("refused.tpl", title="The task was not created.", files=False)
<div class="columns">
<aside class="first" aria-label="What to do with it">
<section class="card" aria-labelledby="do">
<h2 id="do">{{"It cannot be published like this" if inside.problems else "Ready to publish"}}</h2>
% if inside.problems:
<p>Nothing was created. Mend what is listed and choose the package again.</p>
% end
<form method="post" action="/tasks/new/package/{{upload.sha256}}">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <input type="hidden" name="request_id" value="{{request_id}}">
  <p class="buttons">
% if not inside.problems:
    <button class="primary" name="as" value="published">Publish</button>
    <button name="as" value="draft">Save as draft</button>
% end
    <button class="{{"primary" if inside.problems else "quiet"}}" name="as" value="another">Choose another</button>
  </p>
</form>
<p class="hint">Only you can see this page. The archive ({{size(upload.offset)}}) waits here until {{!when(expires, now)}} and is then removed. Publishing checks everything again.</p>
</section>
</aside>
<div class="main">
% if inside.problems:
<section class="note bad" aria-labelledby="problems">
<h2 id="problems">What would be refused</h2>
<ul>
% for problem in inside.problems:
  <li>{{sentence(problem.message)}} <code>{{problem.code}}</code></li>
% end
</ul>
</section>
% end
% if inside.cautions:
<section class="note warn" aria-labelledby="cautions">
<h2 id="cautions">Worth a look</h2>
<ul>
% for caution in inside.cautions:
  <li>{{caution}}</li>
% end
</ul>
</section>
% end
% if manifest:
<section aria-labelledby="description">
<h2 id="description">Description</h2>
<div class="prose">{{!markdown(manifest.description)}}</div>
</section>
% if manifest.acceptance:
<section aria-labelledby="acceptance">
<h2 id="acceptance">Acceptance</h2>
<ul class="checks">
% for item in manifest.acceptance:
  <li>\\
% if item.id:
<strong>{{item.id}}</strong> \\
% end
{{!inline(item.text)}}</li>
% end
</ul>
</section>
% end
% if manifest.deliverables:
<section aria-labelledby="deliverables">
<h2 id="deliverables">Deliverables</h2>
<ul class="checks">
% for item in manifest.deliverables:
  <li>\\
% if item.path:
<code>{{item.path}}</code> \\
% end
{{!inline(item.description)}} <span class="meta">{{", ".join(filter(None, (item.media_type, "" if item.required else "optional")))}}</span></li>
% end
</ul>
</section>
% end
% if manifest.result_schema:
<p class="meta">Every submission needs a result.json that fits the manifest's schema.</p>
% end
% end
% if inside.readme:
<section aria-labelledby="readme">
<h2 id="readme">README</h2>
<div class="prose">{{!markdown(inside.readme)}}</div>
</section>
% end
% if inside.files:
<section aria-labelledby="files">
<h2 id="files">Files <span class="count">{{len(inside.files)}}</span></h2>
<div class="scroll" tabindex="0" role="region" aria-label="The package's files">
<table>
<thead><tr><th scope="col">Path</th><th scope="col" class="number">Size</th><th scope="col">Kind</th></tr></thead>
<tbody>
% for file in inside.files[:most]:
<tr><td class="what">{{file.path}}\\
% if file.path in refused:
 <span class="label refused">refused</span>\\
% end
</td><td class="number">{{size(file.size)}}</td><td>{{file.media_type}}</td></tr>
% end
</tbody>
</table>
</div>
<p class="meta">{{size(inside.size)}} in all{{f"; the first {most} are listed" if len(inside.files) > most else ""}}.</p>
</section>
% end
</div>
% if terms:
<aside class="last" aria-labelledby="terms">
<section class="card">
<h2 id="terms">Terms</h2>
<dl class="facts">
% for label, value in terms:
  <dt>{{label}}</dt><dd>{{value}}</dd>
% end
</dl>
</section>
</aside>
% end
</div>
