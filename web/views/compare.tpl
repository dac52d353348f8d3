% old, new = made
% here = f"/tasks/{task.id}/versions"
% rebase("layout.tpl", title=f"Version {old['number']} and {new['number']} of {task.manifest.title}", section="tasks")
<p class="crumb"><a href="/tasks">Tasks</a> › <a href="/tasks/{{task.id}}">{{task.manifest.title}}</a> › <a href="{{here}}">Versions</a></p>
<div class="heading"><h1>What changed from version {{old["number"]}} to {{new["number"]}}</h1></div>
<p class="meta">
% for each in made:
<a href="{{each["href"]}}">Version {{each["number"]}}</a> by {{each["by"]}}, {{!when(each["at"], now, short=True)}}{{" ·" if each is old else ""}}
% end
· <a href="{{here}}/{{new["number"]}}/compare/{{old["number"]}}">the other way round</a>
</p>
<p class="tabs layout-choice" role="group" aria-label="Layout of differences">
% for wanted, label in ((False, "One column"), (True, "Side by side")):
  <a href="{{here}}/{{old["number"]}}/compare/{{new["number"]}}{{"?split=1" if wanted else ""}}"{{!' aria-current="true"' if wanted == split else ""}}>{{label}}</a>
% end
</p>
% if not fields and not files:
<p class="empty">Nothing differs.</p>
% end
% if fields:
<h2>Manifest</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Manifest">
<table class="compare stacked">
  <thead><tr><th scope="col">Field</th><th scope="col">Version {{old["number"]}}</th><th scope="col">Version {{new["number"]}}</th></tr></thead>
  <tbody>
% for name, before, after in fields:
  <tr><th scope="row">{{words(name)}}</th>\\
% for each, text in zip(made, (before, after)):
<td data-head="{{f"Version {each['number']}"}}">\\
% if text:
<pre>
{{text}}</pre>\\
% else:
<span class="meta">none</span>\\
% end
</td>\\
% end
</tr>
% end
  </tbody>
</table>
</div>
% end
% if files:
% nouns = [f"Version {each['number']}" for each in made]
<h2>Files</h2>
% include("changes.tpl", nouns=nouns)
% for at, item in enumerate(files):
% if item["shown"].told:
% include("contrast.tpl", at=at, item=item, nouns=nouns)
% end
% end
% end
