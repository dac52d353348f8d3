% rebase("layout.tpl", title=f"The board as of {event['commit'][:12]}", section="ledger")
<p class="crumb"><a href="/ledger">Ledger</a> › <a class="id" href="/ledger/{{event["commit"]}}">{{event["commit"][:12]}}</a></p>
<div class="note warn past" role="note">
  <p><strong>This is the past:</strong> the board as it stood {{!when(event["at"], now)}}, right after {{event["actor"]}} \\
% if event["task"]:
{{words(event["event"])}} <a href="/tasks/{{event["task"]}}">{{title}}</a>\\
% else:
caused {{words(event["event"])}} in <code>{{event["record"]}}</code>\\
% end
. <a href="/tasks">Back to now</a></p>
</div>
<div class="heading">
  <h1>The board as of {{event["at"][:10]}}, {{event["at"][11:16]}} UTC</h1>
% if board.columns:
  <p class="meta">{{f"{total:,}"}} {{"task" if total == 1 else "tasks"}}</p>
% end
</div>
% include("ledger_steps.tpl", folder="/board", label="Events beside this one")
% if not board.columns:
<div class="empty" id="reading" data-again>
  <p><strong>The ledger is still being read.</strong></p>
  <p><label for="read">So far</label> <progress id="read" max="100" value="{{int(100 * board.share)}}">{{int(100 * board.share)}}%</progress> {{int(100 * board.share)}}%</p>
  <p><a class="button" href="/ledger/{{event["commit"]}}/board">Go on</a></p>
</div>
% else:
<div class="board scroll" tabindex="0" role="region" aria-label="Board: a column for each state">
% for column in board.columns:
<section class="lane{{"" if column.count else " bare"}}" aria-labelledby="lane-{{column.state}}">
  <h2 id="lane-{{column.state}}"><span class="state {{column.state}}">{{column.state}}</span> <span class="count">{{f"{column.count:,}"}}</span></h2>
% if column.tasks:
  <ul>
% for row in (cards[task] for task in column.tasks if task in cards):
    <li class="slip{{" about" if row["id"] == event["task"] else ""}}">
      <a class="title" href="/tasks/{{row["id"]}}">{{row["title"]}}</a>
      <p class="meta"><code class="id">{{row["id"]}}</code> · {{f"{row['assignee']} for {row['publisher']}" if row["assignee"] else row["publisher"]}} · {{!when(row["updated_at"], now, short=True)}}\\
% if row["visibility"] == "private":
 · <span class="label private">private</span>\\
% end
% if row["id"] == event["task"]:
 · <strong>changed here</strong>\\
% end
</p>
    </li>
% end
  </ul>
% if column.count > len(column.tasks):
  <p class="rest meta">The {{len(column.tasks)}} changed last of {{f"{column.count:,}"}}.</p>
% end
% end
</section>
% end
</div>
% end
