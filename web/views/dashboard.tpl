% rebase("layout.tpl", title="Dashboard", section="dashboard")
<div class="heading"><h1>Dashboard</h1></div>
<section id="counts" data-live aria-labelledby="counts-title">
<h2 class="unseen" id="counts-title">Tasks by state</h2>
<ul class="tallies">
% for state, count in counts.items():
  <li><a href="/tasks?state={{state}}"><strong>{{f"{count:,}"}}</strong> {{state}}</a></li>
% end
</ul>
</section>
<section id="flow" data-live aria-labelledby="flow-title">
<h2 id="flow-title">The last weeks</h2>
<p class="hint">{{note}}</p>
% if trend.weeks:
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
