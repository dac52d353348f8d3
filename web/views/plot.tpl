<figure class="plot {{plot.kind}}">
  <figcaption>{{plot.title}}</figcaption>
% if plot.empty and not plot.unread:
  <p class="meta">{{plot.told}}</p>
% else:
  <svg viewBox="0 0 {{plot.width}} {{plot.height}}" role="img" aria-label="{{plot.summary}}">
% for y in plot.rules:
    <path class="rule" d="M34 {{y}}H{{plot.width}}"/>
% end
% if plot.unread:
% mark = plot.unread
% ident = f"hatch-{plot.kind}-{plot.title}".partition(":")[0].replace(" ", "-").lower()
    <pattern id="{{ident}}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V6" class="hatch"/></pattern>
    <rect fill="url(#{{ident}})" x="{{mark.x}}" y="{{mark.y}}" width="{{mark.width}}" height="{{mark.height}}"><title>{{mark.title}}</title></rect>
% end
% for mark in plot.rects:
    <rect class="{{mark.tone}}" x="{{mark.x}}" y="{{mark.y}}" width="{{mark.width}}" height="{{mark.height}}"><title>{{mark.title}}</title></rect>
% end
% for mark in plot.paths:
    <path class="{{mark.tone}}" d="{{mark.d}}"/>
% end
% for mark in plot.dots:
    <circle class="{{mark.tone}}" cx="{{mark.x}}" cy="{{mark.y}}" r="2.5"><title>{{mark.title}}</title></circle>
% end
% for mark in plot.labels:
    <text x="{{mark.x}}" y="{{mark.y}}" text-anchor="{{mark.anchor}}">{{mark.text}}</text>
% end
  </svg>
% if plot.key:
  <ul class="key">
% for part in plot.key:
    <li><span class="swatch {{part.tone}}" aria-hidden="true"></span>{{part.name}}{{f" {part.count:,}" if part.count else ""}}</li>
% end
  </ul>
% end
% words_of_it = plot.title.partition(":")[0].replace(" ", "-").lower()
  <details id="numbers-{{words_of_it}}">
    <summary>Numbers<span class="unseen"> of {{plot.title}}</span></summary>
    <table>
      <thead><tr>
% for name in plot.head:
        <th scope="col">{{name}}</th>
% end
      </tr></thead>
      <tbody>
% for row in plot.rows:
      <tr><th scope="row">{{row[0]}}</th>
% for cell in row[1:]:
        <td>{{cell}}</td>
% end
      </tr>
% end
      </tbody>
    </table>
  </details>
% end
</figure>
