% rebase("layout.tpl", title="My work", section="work")
<div class="heading">
  <h1>My work</h1>
  <div class="actions" id="work-first" data-live>
% if mine[0].total:
    <a class="button primary" href="/review">Start reviewing</a>
% end
  </div>
</div>
<div id="work-rest" data-live>
% if not any(section.total for section in mine):
<div class="empty work-idle">
  <p><strong>{{"Nothing waits for you." if any(section.total for section in waiting) else "Nothing waits for you, and you wait for nobody."}}</strong></p>
  <p>\\
% if ready.total:
<a href="#ready">Claim what is ready</a>, or <a href="/tasks/new">publish a task</a>.\\
% else:
<a href="/tasks/new">Publish a task</a>, look at <a href="/tasks">all tasks</a>, or read in <a href="/help">the help</a> how an agent takes part.\\
% end
 This page fills by itself.</p>
</div>
% end
</div>
<div class="work">
<div class="work-mine">
% for section in mine:
% include("work_section.tpl", section=section)
% end
<div class="work-waiting">
% for section in waiting:
% include("work_section.tpl", section=section)
% end
</div>
</div>
<div class="work-free">
<section aria-labelledby="ready-title" id="ready" data-live>
  <h2 id="ready-title">Ready to claim <span class="count">{{ready.total}}{{"+" if ready.total and offer.looked < offer.total else ""}}</span></h2>
% if ready.entries:
% include("work_list.tpl", entries=ready.entries, states=False)
% elif not offer.total:
  <p class="meta">No task is published just now.</p>
% else:
  <p class="meta">{{"None of the published tasks" if offer.looked == offer.total else f"None of the {offer.looked} most urgent published tasks"}} is open to you\\
% if barred:
; the reasons are below\\
% end
.</p>
% end
% if offer.looked < offer.total:
  <p class="meta">The {{offer.looked}} most urgent of {{offer.total}} published tasks were looked at.\\
% if more:
 <a href="/work?more=1">Look at more</a>\\
% end
</p>
% end
% for words_of_it, href in ready.rest:
  <p class="meta"><a href="{{href}}">{{words_of_it}}</a></p>
% end
% if barred:
  <details class="work-barred" id="barred">
    <summary>Published, but not for you</summary>
    <ul class="jobs">
% for entry, reasons in barred:
      <li class="job">
        <p class="job-title"><a href="{{entry.href}}">{{entry.task["title"]}}</a> <code class="id">{{entry.task["id"]}}</code></p>
        <ul class="job-reasons">
% for reason in reasons:
          <li>{{reason}}</li>
% end
        </ul>
      </li>
% end
    </ul>
    <p class="hint">What you can do is in <a href="/me">your profile</a>; an admin can change it.</p>
  </details>
% end
</section>
</div>
<div class="work-own">
% include("work_section.tpl", section=published)
</div>
</div>
