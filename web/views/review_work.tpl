<details class="review-work" id="the-work">
  <summary>What was asked for</summary>
  <div class="prose">{{!markdown(manifest["description"])}}</div>
% if manifest.get("deliverables"):
  <h3>Deliverables</h3>
  <ul class="checks">
% for item in manifest["deliverables"]:
% if isinstance(item, str):
    <li>{{!inline(item)}}</li>
% else:
    <li><code>{{item.get("path", "")}}</code> {{!inline(item.get("description", ""))}}{{"" if item.get("required", True) else " (optional)"}}</li>
% end
% end
  </ul>
% end
% if task["files"]:
  <p class="meta"><a href="/tasks/{{task["id"]}}#files">The package's files ({{len(task["files"])}})</a></p>
% end
</details>
<dl class="facts">
  <dt>Publisher</dt><dd><a href="/actors/{{task["publisher"]}}">{{task["publisher"]}}</a></dd>
  <dt>Reviewer</dt><dd>{{task["reviewer"]}}</dd>
  <dt>Submissions</dt><dd>{{len(task["submissions"])}}</dd>
</dl>
