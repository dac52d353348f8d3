% rebase("layout.tpl", title=f"{filters.q[:60]} · Tasks" if filters.q else "Tasks", section="tasks")
% address, counts = asking.address, listing.counts
% def marked(pieces):
% for piece in pieces:
% if piece.hit:
<mark>{{piece.text}}</mark>\\
% else:
{{piece.text}}\\
% end
% end
% end
<div class="heading">
  <h1>Tasks</h1>
  <nav class="tabs shape" aria-label="Form of the list">
    <a href="{{address(replace(filters, board=False))}}"{{!'' if filters.board else ' aria-current="page"'}}>Table</a>
    <a href="{{address(replace(filters, board=True))}}"{{!' aria-current="page"' if filters.board else ''}}>Board</a>
  </nav>
</div>
<nav class="views" aria-label="Views">
  <ul>
% for view in views:
    <li><a href="{{view.address}}"{{!' class="own"' if view.own else ''}}{{!' aria-current="page"' if view.current else ''}}>{{view.name}}</a></li>
% end
  </ul>
</nav>
% include("taskasking.tpl")
% if chips:
<ul class="chips" aria-label="Active filters">
% for chip in chips:
  <li><a class="chip" href="{{chip.without}}"><span class="unseen">Remove the filter </span>{{chip.words}} <span aria-hidden="true">×</span></a></li>
% end
  <li><a class="chip clear" href="{{address(asking.Filters(board=filters.board))}}">Clear all</a></li>
</ul>
% end
% if not wrong:
<nav class="tabs" id="counts" data-live aria-label="By state">
  <a href="{{address(replace(filters, states=()))}}"{{!'' if filters.states else ' aria-current="page"'}}>live <span class="count">{{listing.live}}</span></a>
% for state in states:
% if counts[state] or state in filters.states:
  <a href="{{address(replace(filters, states=(state,)))}}"{{!' aria-current="page"' if filters.states == (state,) else ' class="among"' if state in filters.states else ''}}>{{state}} <span class="count">{{counts[state]}}</span></a>
% end
% end
</nav>
% end
% if wrong and wrong.code == "bad-cursor":
<div class="note bad" role="alert">
  <p><strong>This page of the list is not there.</strong> Its address continues another search than this one, or is incomplete.</p>
  <p><a href="{{address(filters)}}">To the first page</a></p>
</div>
% elif wrong and wrong.where not in ("q", *asking.FIELDS):
<p class="note bad" role="alert">{{wrong.message}}. <a href="/tasks">Show all live tasks</a></p>
% end
<div id="listing" data-live>
% left = counts["archived"] if not filters.states and not wrong else 0
% if listing.rows or listing.total and listing.columns:
<p class="meta">{{f"{listing.total:,}"}} {{"task" if listing.total == 1 else "tasks"}}{{", continued" if later else ""}}\\
% if left:
; <a href="{{address(replace(filters, states=("archived",)))}}">{{f"{left:,}"}} archived</a> left out\\
% end
</p>
% if filters.board:
% include("board.tpl", marked=marked)
% else:
% include("tasktable.tpl", marked=marked)
% end
% elif not wrong:
<div class="empty">
% if listing.meant:
  <p class="meant">Did you mean \\
% for number, (q, leads) in enumerate(listing.meant, 1):
<a href="{{leads}}">{{q}}</a>{{"?" if number == len(listing.meant) else " or " if number == len(listing.meant) - 1 else ", "}}\\
% end
</p>
% end
% if later:
  <p><strong>Nothing further.</strong></p>
  <p>The tasks of this page have moved. <a href="{{address(filters)}}">To the first page</a></p>
% elif left and filters.narrow:
  <p><strong>No live task matches.</strong></p>
  <p><a href="{{address(replace(filters, states=("archived",)))}}">{{left}} archived {{"task does" if left == 1 else "tasks do"}}</a>.</p>
% elif filters.states and listing.live:
  <p><strong>No task matches in {{"this state" if len(filters.states) == 1 else "these states"}}.</strong></p>
  <p><a href="{{address(replace(filters, states=()))}}">{{f"{listing.live:,}"}} live {{"task does" if listing.live == 1 else "tasks do"}}</a> in others.</p>
% elif filters.mine == "assignee" and not filters.q:
  <p><strong>You work on no such task.</strong></p>
  <p>Look at <a href="{{address(asking.EVERYBODY["Open to claim"])}}">what is open to claim</a>, or <a href="{{address(asking.Filters(board=filters.board))}}">show all live tasks</a>.</p>
% elif filters.narrow:
  <p><strong>No task matches.</strong></p>
  <p>{{"Use fewer words, take" if filters.q else "Take"}} a filter away, or <a href="{{address(asking.Filters(board=filters.board))}}">show all live tasks</a>.</p>
% elif left:
  <p><strong>No task is live.</strong></p>
  <p><a href="/tasks/new">Publish a new one</a>, or look at <a href="{{address(replace(filters, states=("archived",)))}}">what is archived</a>.</p>
% else:
  <p><strong>There are no tasks yet.</strong></p>
  <p><a href="/tasks/new">Publish the first one</a>: a title and a few lines are enough. Whoever is eligible can then claim it here, or through <a href="/help">the API</a>.</p>
% end
</div>
% end
% if (later or listing.next) and not wrong:
<nav class="pages" aria-label="Pages">
% if later:
  <a href="{{address(filters)}}">First page</a>
% end
% if listing.next:
  <a href="{{listing.next}}" rel="next">Next page</a>
% end
</nav>
% end
</div>
% include("taskviews.tpl")
