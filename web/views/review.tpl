% rebase("layout.tpl", title="Review", section="work")
<p class="crumb"><a href="/work">My work</a></p>
<div class="heading"><h1>Review</h1></div>
% include("review_after.tpl", after=after)
<div id="queue-empty" data-live>
% if queue.tasks:
% first = queue.tasks[0]
<div class="empty">
  <p><strong>{{"A submission waits" if queue.total == 1 else f"{queue.total} submissions wait"}} for your review.</strong></p>
  <p><a class="button primary" href="/review/{{first.id}}">Review “{{first.manifest.title}}”</a></p>
</div>
% else:
<div class="empty">
  <p><strong>Nothing waits for your review.</strong></p>
  <p>Look at <a href="/work">what else you could do</a>, or at <a href="/tasks?q=state%3Asubmitted">all submissions under review</a>. When one comes that you may judge, it shows here.</p>
</div>
% end
</div>
