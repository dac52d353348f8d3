<ul class="files">
% for file in files:
  <li><a href="{{file["href"]}}">{{file["path"]}}</a>
    <span class="meta">{{size(file["size"])}} · {{file["media_type"]}}\\
% if file["name"] != file["path"].rpartition("/")[2]:
 · was “{{file["name"]}}”\\
% end
</span></li>
% end
</ul>
