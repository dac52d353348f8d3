% rebase("layout.tpl", title=f"Timeline of {task['title']}", section="tasks")
<p class="crumb"><a href="/tasks">Tasks</a> › <a href="/tasks/{{task["id"]}}">{{task["title"]}}</a></p>
<div class="heading">
  <h1>Timeline</h1>
  <p class="tags">\\
% include("state.tpl", state=task["state"])
 <code class="id">{{task["id"]}}</code> <span class="meta">{{total}} events, each of them a signed commit</span></p>
</div>
<div class="article" id="live-timeline"{{!'' if later else ' data-live'}}>
% if later and not events:
<div class="empty"><p><strong>There is nothing before that.</strong></p><p>The task's history begins with the event you came from.</p></div>
% end
% include("task_events.tpl", events=events)
</div>
% if older or later:
<nav class="pages" aria-label="More events">
% if later:
  <a href="/tasks/{{task["id"]}}/timeline">Newest</a>
% end
% if older:
  <a href="/tasks/{{task["id"]}}/timeline?before={{older}}" rel="next">Older</a>
% end
</nav>
% end
