% review = made["review"] if made else None
<div class="note warn">
% if review:
  <p><strong>Submission {{made["number"]}} was {{review["decision"]}}</strong> by <a href="/actors/{{review["by"]}}">{{review["by"]}}</a>, {{!when(review["at"], now, short=True)}}. There is nothing to decide here just now.</p>
% if made["reason"]:
  <div class="prose">{{!markdown(made["reason"])}}</div>
% end
% elif task["state"] == "submitted":
  <p><strong>This submission is not yours to review.</strong> Its reviewer is {{task["reviewer"]}}; nobody judges their own work.</p>
% elif made:
  <p><strong>There is nothing to decide here just now:</strong> the task is {{task["state"]}}.</p>
% else:
  <p><strong>There is no submission yet.</strong> The task is {{task["state"]}}.</p>
% end
  <p>\\
% if next:
<a href="/review/{{next}}">Review the next one</a>, or \\
% end
<a href="/tasks/{{task["id"]}}">look at the task</a>.</p>
</div>
