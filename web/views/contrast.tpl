% told = item["shown"]
<section class="contrast" aria-labelledby="file-{{at}}">
<h2 id="file-{{at}}">{{exposed(item["path"])}}</h2>
<p class="meta"><span class="turn {{marks[item["change"]]}}">{{item["change"]}}</span>\\
% for side, noun in zip((item["old"], item["new"]), nouns):
% if side:
 · {{size(side["size"])}} in <a href="{{side["page"]}}">{{noun.lower()}}</a>\\
% end
% end
</p>
% if told.words:
<p>{{told.words}}</p>
% end
% if told.notes:
<p class="meta">{{" ".join(told.notes)}}</p>
% end
% if item["kind"] == "bytes" and item["old"] and item["new"]:
<dl class="facts">
% for side, noun in zip((item["old"], item["new"]), nouns):
  <dt>{{noun}}</dt><dd>{{f"{side['size']:,}"}} bytes, SHA-256 <code>{{side["sha256"]}}</code></dd>
% end
</dl>
% end
{{!told.html}}
% if told.lines:
<details class="step"><summary>Line by line</summary>
{{!told.lines}}
</details>
% end
% if told.pictures:
<div class="split pictures">
% for picture, side, noun in zip(told.pictures, (item["old"], item["new"]), nouns):
<figure>
  <figcaption>{{noun}} <span class="meta">{{f"{size(side['size'])}. {' '.join(picture.notes)}" if picture else "has no such file"}}</span></figcaption>
% if picture:
% if picture.fault:
  <p class="note bad">{{picture.fault}}</p>
% end
  {{!picture.html}}
% end
</figure>
% end
</div>
% if all(picture and picture.html for picture in told.pictures):
<details class="step"><summary>One over the other: black where they are alike</summary>
<div class="overlay">
{{!told.pictures[0].html}}
{{!told.pictures[1].html}}
</div>
</details>
% end
% end
</section>
