<table class="tasklist">
  <caption class="unseen">Tasks, in the order: {{asking.SORTS.get(listing.sort, "")}}</caption>
  <thead><tr>
% for head in heads:
    <th scope="col"{{!f' aria-sort="{head.order}"' if head.order else ''}}>\\
% if head.address:
<a href="{{head.address}}">{{head.words}}</a>\\
% else:
{{head.words}}\\
% end
</th>
% end
  </tr></thead>
  <tbody>
% for row in listing.rows:
  <tr>
    <td class="what"><a class="title" href="/tasks/{{row["id"]}}">\\
% marked(row["title_pieces"])
</a> <code class="id">\\
% marked(row["id_pieces"])
</code>
% if row["visibility"] == "private":
      <span class="label private">private</span>
% end
% for label in row["label_pieces"]:
      <span class="label">\\
% marked(label)
</span>
% end
% if row["snippet"]:
      <p class="snippet">\\
% marked(row["snippet"])
</p>
% end
    </td>
    <td class="stands"><span class="state {{row["state"]}}">{{row["state"]}}</span>\\
% if row["waiting"]:
 <span class="state waiting">question</span>\\
% end
</td>
    <td class="priority p{{row["priority"]}}"><span class="unseen">priority </span>{{row["priority"]}}</td>
    <td class="person" data-label="by"><a href="/actors/{{row["publisher"]}}">{{row["publisher"]}}</a></td>
    <td class="person{{"" if row["assignee"] else " none"}}" data-label="with">\\
% if row["assignee"]:
<a href="/actors/{{row["assignee"]}}">{{row["assignee"]}}</a>\\
% else:
–\\
% end
</td>
    <td class="due{{" late" if row["late"] else ""}}{{"" if row["due_at"] else " none"}}" data-label="due"{{!' title="estimated by its priority"' if row["about"] else ''}}>{{!row["about"] or when(row["due_at"], now, short=True)}}{{!' <span class="state overdue">overdue</span>' if row["late"] else ''}}</td>
    <td class="moved" data-label="changed">{{!when(row["updated_at"], now, short=True)}}</td>
  </tr>
% end
  </tbody>
</table>
