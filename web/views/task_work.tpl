<div class="task-work" id="live-work" data-live>
<section aria-labelledby="description">
<h2 id="description">Description</h2>
<div class="prose">{{!markdown(manifest["description"])}}</div>
</section>
% if manifest.get("acceptance"):
<section aria-labelledby="acceptance">
<h2 id="acceptance">Acceptance</h2>
<ul class="checks">
% for item in manifest["acceptance"]:
% if isinstance(item, str):
  <li>{{!inline(item)}}</li>
% else:
  <li><strong>{{item["id"]}}</strong> {{!inline(item["text"])}}</li>
% end
% end
</ul>
</section>
% end
% if manifest.get("deliverables") or result_schema:
<section aria-labelledby="deliverables">
<h2 id="deliverables">Deliverables</h2>
% if manifest.get("deliverables"):
<ul class="checks">
% for item in manifest["deliverables"]:
% if isinstance(item, str):
  <li>{{!inline(item)}}</li>
% else:
  <li>\\
% if item.get("path"):
<code>{{item["path"]}}</code>{{" — " if item.get("description") else ""}}\\
% end
{{!inline(item.get("description", ""))}} <span class="meta">{{", ".join(filter(None, (item.get("media_type"), f"at least {size(item['min_bytes'])}" if "min_bytes" in item else "", f"at most {size(item['max_bytes'])}" if "max_bytes" in item else "", "" if item.get("required", True) else "optional")))}}</span></li>
% end
% end
</ul>
% end
% if result_schema:
<details id="result-schema"><summary>The schema that <code>result.json</code> must fit</summary><pre class="json" tabindex="0">{{result_schema}}</pre></details>
% end
</section>
% end
% if readme:
<section aria-labelledby="readme">
<h2 id="readme">README</h2>
<div class="prose">{{!markdown(readme)}}</div>
</section>
% end
% if manifest.get("source_context"):
<section aria-labelledby="source">
<h2 id="source">Where it comes from</h2>
<div class="prose">{{!markdown(manifest["source_context"])}}</div>
</section>
% end
% if task["files"]:
<section aria-labelledby="files">
<h2 id="files">Files <span class="count">{{len(task["files"])}}</span></h2>
% include("files.tpl", files=task["files"][:most_files])
% if not task.get("erased_at"):
<p class="meta">Download all with the manifest: <a href="/tasks/{{task["id"]}}/archive.zip" download>.zip</a> <a href="/tasks/{{task["id"]}}/archive.tar.gz" download>.tar.gz</a></p>
% end
</section>
% end
</div>
