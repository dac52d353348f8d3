% number, here = found["number"], f"/tasks/{task.id}/versions"
% rebase("layout.tpl", title=f"Version {number} of {found['title']}", section="tasks")
<p class="crumb"><a href="/tasks">Tasks</a> › <a href="/tasks/{{task.id}}">{{task.manifest.title}}</a> › <a href="{{here}}">Versions</a></p>
<div class="heading"><h1>Version {{number}} of {{task.version}}: {{found["title"]}}</h1></div>
% if number != task.version:
<p class="note">This is how the package was. <a href="/tasks/{{task.id}}">The task now</a> has version {{task.version}}: <a href="{{here}}/{{number}}/compare/{{task.version}}">what changed since</a>.</p>
% end
<dl class="facts">
  <dt>Made</dt><dd>{{words(found["event"])}} by <a href="/actors/{{found["by"]}}">{{found["by"]}}</a>, {{!when(found["at"], now)}}</dd>
  <dt>Commit</dt><dd><a href="/ledger/{{found["commit"]}}"><code>{{found["commit"]}}</code></a></dd>
% if runs:
  <dt>Attempts</dt><dd>{{", ".join(f"{run.number} by {run.actor} ({run.outcome})" for run in runs)}}</dd>
% end
  <dt>Download</dt><dd>\\
% for kind, address in found["archives"].items():
<a href="{{address}}" download>.{{kind}}</a> \\
% end
</dd>
% if number > 1:
  <dt>Changes</dt><dd><a href="{{here}}/{{number - 1}}/compare/{{number}}">from version {{number - 1}}</a></dd>
% end
</dl>
<h2>Manifest</h2>
<pre tabindex="0" role="region" aria-label="Manifest">
{{shown}}</pre>
<h2>Files</h2>
% if found["files"]:
% include("files.tpl", files=found["files"])
% else:
<p class="meta">This version had no files.</p>
% end
