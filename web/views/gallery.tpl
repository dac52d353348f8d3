<ul class="gallery" aria-label="Pictures">
% for file, glimpse in pictures:
  <li><a href="{{file["href"].replace("/files/", "/view/", 1)}}">{{!glimpse.picture}}<span>{{file["path"].rpartition("/")[2]}}</span></a></li>
% end
</ul>
