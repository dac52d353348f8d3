% shown = glimpses(visit.seen if visit else None, visit.request.environ if visit else {}, files)
% pictured = [at for at, glimpse in enumerate(shown) if glimpse.picture]
% if len(pictured) > 1:
% include("gallery.tpl", pictures=[(files[at], shown[at]) for at in pictured])
% end
<ul class="files">
% for file, glimpse in zip(files, shown):
% page = file["href"].replace("/files/", "/view/", 1)
  <li>\\
% if glimpse.picture and len(pictured) == 1:
<a class="thumb" href="{{page}}">{{!glimpse.picture}}</a>\\
% end
<span class="kind" aria-hidden="true">{{glimpse.mark}}</span> <a href="{{page}}">{{file["path"]}}</a>
    <span class="meta">{{size(file["size"])}} · {{file["media_type"]}}\\
% if file["name"] != file["path"].rpartition("/")[2]:
 · was “{{file["name"]}}”\\
% end
 · <a href="{{file["href"]}}" aria-label="Download {{file["path"]}}">Download</a></span>\\
% if glimpse.html:
<details class="glimpse"><summary>Preview<span class="unseen"> of {{file["path"]}}</span></summary>
{{!glimpse.html}}
</details>\\
% end
</li>
% end
</ul>
