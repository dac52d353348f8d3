<ul class="files">
% for file in files:
  <li><a href="{{file["href"].replace("/files/", "/view/", 1)}}">{{file["path"]}}</a>
    <span class="meta">{{size(file["size"])}} · {{file["media_type"]}}\\
% if file["name"] != file["path"].rpartition("/")[2]:
 · was “{{file["name"]}}”\\
% end
 · <a href="{{file["href"]}}" aria-label="Download {{file["path"]}}">Download</a></span></li>
% end
</ul>
