% address = f"/tasks/{task['id']}"
<section class="card actions" id="live-actions" data-live aria-labelledby="do">
<h2 id="do">What you can do</h2>
% if offers.primary == "answer":
<p class="first-step"><a class="button primary" href="#question">Answer the question</a></p>
% end
% for command in offers.others:
% include("task_step.tpl", command=command, tone="primary" if command == offers.primary else "")
% end
% if not offers.primary and not offers.grave and "revise" not in offered:
<p class="meta">Nothing just now{{", but you can comment below" if "comment" in offered else ""}}.</p>
% end
% if reasons and task["state"] != "archived" and task["assignee"] != visit.actor.id:
<details class="step" id="why-not"{{" open" if task["state"] == "published" else ""}}>
  <summary>Why can't I claim this?</summary>
  <ul>
% for reason in reasons:
    <li>{{reason}}</li>
% end
  </ul>
</details>
% end
% if offers.grave:
<div class="grave">
% for command in offers.grave:
% include("task_step.tpl", command=command, tone="danger")
% end
</div>
% end
</section>
