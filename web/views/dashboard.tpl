% rebase("layout.tpl", title="Dashboard", section="dashboard")
<div class="heading"><h1>Dashboard</h1></div>
<section id="counts" data-live aria-labelledby="counts-title">
<h2 class="unseen" id="counts-title">Tasks by state</h2>
<ul class="tallies">
% for state, count in counts.items():
  <li><a href="/tasks?state={{state}}"><strong>{{f"{count:,}"}}</strong> {{state}}</a></li>
% end
</ul>
% if not any(counts.values()):
<div class="empty">
  <p><strong>There is no task yet.</strong></p>
  <p><a href="/tasks/new">Publish the first one</a>, or read <a href="/help">how an exchange works</a>.</p>
</div>
% end
</section>
<section id="flow" data-live aria-labelledby="flow-title">
<h2 id="flow-title">Week by week</h2>
<p class="hint"{{!" data-soon" if trend.reading else ""}}>{{note}}\\
% if trend.reading:
<noscript> <a href="/dashboard">Look again</a></noscript>\\
% end
</p>
% if plots and all(plot.empty and not plot.unread for plot in plots):
<p class="meta">Nothing was created, submitted or decided in these weeks.</p>
% elif plots:
<div class="plots">
% for plot in plots:
% include("plot.tpl", plot=plot)
% end
</div>
% end
</section>
<div class="split">
<section id="waiting" data-live aria-labelledby="waiting-title">
<h2 id="waiting-title">Waits longest</h2>
% include("concerns.tpl", groups=waiting, empty="Nothing waits: no task is on offer, under review or asking.")
</section>
<section id="stuck" data-live aria-labelledby="stuck-title">
<h2 id="stuck-title">Is stuck</h2>
% include("concerns.tpl", groups=stuck, empty="Nothing is stuck.")
</section>
</div>
