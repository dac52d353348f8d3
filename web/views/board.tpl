<div class="board scroll" tabindex="0" role="region" aria-label="Board: a column for each state">
% for column in listing.columns:
<section class="lane{{"" if column.total else " bare"}}" aria-labelledby="lane-{{column.state}}">
  <h2 id="lane-{{column.state}}"><span class="state {{column.state}}">{{column.state}}</span> <span class="count">{{f"{column.total:,}"}}</span></h2>
% if column.rows:
  <ul>
% for row in column.rows:
    <li class="slip">
      <a class="title" href="/tasks/{{row["id"]}}">\\
% marked(row["title_pieces"])
</a>
% if row["snippet"]:
      <p class="snippet">\\
% marked(row["snippet"])
</p>
% end
% if row["labels"] or row["visibility"] == "private" or row["waiting"]:
      <p class="tags">\\
% if row["waiting"]:
<span class="state waiting">question</span> \\
% end
% if row["visibility"] == "private":
<span class="label private">private</span> \\
% end
% for label in row["label_pieces"]:
<span class="label">\\
% marked(label)
</span> \\
% end
</p>
% end
      <p class="meta"><code class="id">\\
% marked(row["id_pieces"])
</code>{{f" · {row['assignee']}" if row["assignee"] else ""}}\\
% if row["due_at"]:
 · <span class="due{{" late" if row["late"] else ""}}">{{"overdue, due" if row["late"] else "due"}} {{!when(row["due_at"], now, short=True)}}</span>\\
% end
</p>
    </li>
% end
  </ul>
% if column.total > len(column.rows):
  <p class="rest"><a href="{{column.all}}">All {{f"{column.total:,}"}} {{column.state}}</a></p>
% end
% end
</section>
% end
</div>
