<ul class="jobs">
% for entry in entries:
% task = entry.task
  <li class="job">
    <div class="job-what">
      <p class="job-title"><a href="{{entry.href}}">{{task["title"]}}</a> <code class="id">{{task["id"]}}</code></p>
      <p class="meta">{{entry.says}}\\
% if entry.at:
 {{!when(entry.at, now, short=True)}}\\
% end
</p>
      <p class="job-marks">\\
% if states:
% include("state.tpl", state=task["state"])
% if task["waiting"]:
 <span class="state waiting">question open</span>\\
% end
% end
% if entry.due[1]:
 <span class="due {{entry.due[0]}}">{{entry.due[1]}}</span>\\
% end
% if task["priority"] != 3:
 <span class="label">priority {{task["priority"]}}</span>\\
% end
% if task["visibility"] == "private":
 <span class="label private">private</span>\\
% end
% for label in task["labels"][:5]:
 <span class="label">{{label}}</span>\\
% end
% if entry.percent is not None:
 <span class="job-progress"><progress max="100" value="{{entry.percent}}" aria-label="Progress of {{task["title"]}}"></progress> {{entry.percent}}%</span>\\
% end
</p>
    </div>
% if entry.command:
    <form method="post" action="/tasks/{{task["id"]}}/{{entry.command}}">
      <input type="hidden" name="csrf" value="{{visit.csrf}}">
      <input type="hidden" name="request_id" value="{{entry.request_id}}">
      <button>{{entry.button}}<span class="unseen"> “{{task["title"]}}”</span></button>
    </form>
% end
  </li>
% end
</ul>
