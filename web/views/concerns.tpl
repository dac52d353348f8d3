% shown = [group for group in groups if group["rows"]]
% for group in shown:
<div class="attention">
<h3>{{group["told"].title}}</h3>
<p class="hint">{{group["told"].hint}}</p>
<ul class="concerns">
% for row in group["rows"]:
  <li><a href="/tasks/{{row["id"]}}">{{row["title"]}}</a> \\
% include("state.tpl", state=row["state"])
% if row["visibility"] == "private":
 <span class="label private">private</span>\\
% end
<p class="meta">{{group["told"].began}} {{!when(row["since"], now, short=True)}}; next move: \\
% if row["mover"]:
<a href="/actors/{{row["mover"]}}">{{row["mover"]}}</a>.\\
% else:
{{row["who"]}}.\\
% end
% if row["until"]:
 The lease ends {{!when(row["until"], now, short=True)}}.\\
% end
{{f" {row['why']}" if row["why"] else ""}}\\
% if row["can"]:
 You can \\
% for place, command in enumerate(row["can"]):
{{", " if place else ""}}<a href="/tasks/{{row["id"]}}#do-{{command}}">{{command}}</a>\\
% end
.\\
% end
% if row["reinstate"]:
 <a href="/actors/{{row["reinstate"]}}">Reinstate {{row["reinstate"]}}</a>.\\
% end
</p></li>
% end
</ul>
% if group["all"]:
<p class="meta"><a href="{{group["all"]}}">All of them<span class="unseen">: {{group["told"].title}}</span></a></p>
% end
</div>
% end
% if not shown:
<p class="meta">{{empty}}</p>
% end
