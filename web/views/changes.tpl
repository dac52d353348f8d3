<p class="meta">{{", ".join(f"{counts[kind]} {kind}" for kind in ("changed", "added", "removed", "renamed") if counts[kind])}}{{f", {len(same)} unchanged" if same else ""}}.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Files that differ">
<table class="stacked">
  <thead><tr><th scope="col">Change</th><th scope="col">File</th><th scope="col">{{nouns[0]}}</th><th scope="col">{{nouns[1]}}</th></tr></thead>
  <tbody>
% for at, item in enumerate(files):
  <tr><td><span class="turn {{marks[item["change"]]}}">{{item["change"]}}</span></td>
    <td class="what">\\
% if item["shown"].told:
<a href="#file-{{at}}">{{exposed(item["path"])}}</a>\\
% else:
{{exposed(item["path"])}}\\
% end
% if item["change"] == "renamed":
<br><span class="meta">was {{exposed(item["old"]["path"])}}</span>\\
% end
</td>
% for side, noun in zip((item["old"], item["new"]), nouns):
    <td data-head="{{noun}}">\\
% if side:
<a href="{{side["page"]}}" title="SHA-256 {{side["sha256"]}}">{{size(side["size"])}}</a>\\
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
% if more_files:
<p class="meta">{{more_files}} more files differ; they are not listed here.</p>
% end
