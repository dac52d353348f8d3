% manifest = task["manifest"]
% rebase("layout.tpl", title=task["title"], section="tasks")
<p class="crumb"><a href="/tasks">Tasks</a></p>
% include("task_head.tpl")
% if attempt.error:
% include("refused.tpl", title=f"{actions[attempt.command].title}: refused.", error=attempt.error, files=actions[attempt.command].uploads, mistakes=attempt.mistakes(offered))
% for at, text in enumerate(attempt.lost(offered)):
<div class="field">
  <label for="lost-{{at}}">What you typed, to copy</label>
  <textarea id="lost-{{at}}" readonly rows="4">
{{text}}</textarea>
</div>
% end
% end
<nav class="sections" id="sections" data-live aria-label="On this page">
  <ul>
    <li><a href="#description">Description</a></li>
% for part, label, count in (("files", "Files", len(task["files"])), ("submissions", "Submissions", len(task["submissions"])), ("attempts", "Attempts", len(attempts)), ("discussion", "Discussion", task["discussion"]), ("timeline", "Timeline", event_count)):
% if count or part == "discussion":
    <li><a href="#{{part}}">{{label}} <span class="count">{{count}}</span></a></li>
% end
% end
  </ul>
</nav>
<div class="columns task">
<aside class="first" aria-label="Where it stands, and what to do">
% include("task_now.tpl")
% include("task_actions.tpl")
</aside>
<div class="main">
% include("task_work.tpl")
% include("task_submissions.tpl")
% include("task_attempts.tpl")
% include("task_discussion.tpl")
<section aria-labelledby="timeline" id="live-timeline" data-live>
<h2 id="timeline">Timeline</h2>
% include("task_events.tpl", events=events)
% if str(len(events)) != event_count:
<p><a href="/tasks/{{task["id"]}}/timeline">All {{event_count}} events</a></p>
% end
</section>
% if cut:
<p class="more"><a href="/tasks/{{task["id"]}}?all=1">Show everything</a></p>
% end
</div>
<aside class="last" aria-label="Facts and terms">
% include("task_facts.tpl")
</aside>
</div>
