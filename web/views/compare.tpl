% old, new, here = found["old"], found["new"], f"/tasks/{task.id}/versions"
% rebase("layout.tpl", title=f"Version {old['number']} and {new['number']} of {task.manifest.title}")
<p class="crumb"><a href="/tasks">Tasks</a> › <a href="/tasks/{{task.id}}">{{task.manifest.title}}</a> › <a href="{{here}}">Versions</a></p>
<div class="heading"><h1>What changed from version {{old["number"]}} to {{new["number"]}}</h1></div>
<p class="meta">
% for made in (old, new):
<a href="{{made["href"]}}">Version {{made["number"]}}</a> by {{made["by"]}}, {{!when(made["at"], now, short=True)}}{{" ·" if made is old else ""}}
% end
· <a href="{{here}}/{{new["number"]}}/compare/{{old["number"]}}">the other way round</a>
</p>
% if not fields and not found["files"]:
<p class="empty">Nothing differs.</p>
% end
% if fields:
<h2>Manifest</h2>
<div class="scroll">
<table class="compare">
  <thead><tr><th scope="col">Field</th><th scope="col">Version {{old["number"]}}</th><th scope="col">Version {{new["number"]}}</th></tr></thead>
  <tbody>
% for name, before, after in fields:
  <tr><th scope="row">{{words(name)}}</th>\\
% for text in (before, after):
<td>\\
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
% if found["files"]:
<h2>Files</h2>
<div class="scroll">
<table>
  <thead><tr><th scope="col">Change</th><th scope="col">File</th><th scope="col">Version {{old["number"]}}</th><th scope="col">Version {{new["number"]}}</th></tr></thead>
  <tbody>
% for at, item in enumerate(found["files"]):
  <tr>
    <td>{{item["change"]}}</td>
    <td class="what">{{item["path"]}}\\
% if item["change"] == "renamed":
<br><span class="meta">was {{item["old"]["path"]}}</span>\\
% end
% if item["path"] in lines:
<br><a href="#diff-{{at}}">line by line</a>\\
% elif item["no_diff"]:
<br><span class="meta">{{"not text" if item["no_diff"] == "binary" else "too large to compare line by line"}}</span>\\
% end
</td>
% for side in ("old", "new"):
    <td>\\
% if item[side]:
<a href="{{item[side]["href"]}}">{{size(item[side]["size"])}}</a>\\
% else:
<span class="meta">none</span>\\
% end
</td>
% end
  </tr>
% end
  </tbody>
</table>
</div>
% for at, item in enumerate(found["files"]):
% if item["path"] in lines:
<h3 class="difference" id="diff-{{at}}">{{item["path"]}}</h3>
<pre class="diff" tabindex="0">\\
% for kind, text in lines[item["path"]]:
<span class="{{kind}}">{{text or " "}}</span>\\
% end
</pre>
% end
% end
% end
