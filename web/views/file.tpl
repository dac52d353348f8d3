% rebase("layout.tpl", title=file["path"], section="tasks")
<nav class="crumb" aria-label="Where this is"><a href="/tasks">Tasks</a> › <a href="/tasks/{{task.id}}">{{task.manifest.title}}</a>\\
% if shelf.name:
 › <a href="/tasks/{{task.id}}#{{shelf.shown_at}}">{{shelf.name}}</a>\\
% end
</nav>
<div class="heading">
  <h1>{{file["path"]}}</h1>
  <a class="button primary" href="{{file["href"]}}">Download<span class="unseen"> {{file["path"]}}</span></a>
</div>
<section aria-label="Facts">
<dl class="facts">
% if file["name"] != file["path"].rpartition("/")[2]:
  <dt>Name it had</dt><dd>{{file["name"]}}</dd>
% end
  <dt>Type</dt><dd>{{file["media_type"]}}</dd>
  <dt>Size</dt><dd>{{size(file["size"])}}{{f" ({file['size']:,} bytes)" if file["size"] >= 1000 else ""}}</dd>
  <dt>SHA-256</dt><dd><code>{{file["sha256"]}}</code></dd>
  <dt>Kind</dt><dd>{{words(file["kind"])}}</dd>
% if file["by"]:
  <dt>Added</dt><dd>by <a href="/actors/{{file["by"]}}">{{file["by"]}}</a>, {{!when(file["at"], now)}}</dd>
% end
</dl>
</section>
% if held:
<section aria-labelledby="held">
<h2 id="held">What it holds</h2>
% include("preview.tpl", shown=held)
</section>
% else:
<section aria-labelledby="preview">
<h2 id="preview">Preview</h2>
% if not (shown.html or shown.fault or shown.notes):
<p class="meta">Files of this type are not shown here; download it to look at it.</p>
% end
% include("preview.tpl", shown=shown)
</section>
% end
