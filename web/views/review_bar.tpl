<section class="review-bar" aria-label="Decision" data-words="{{task["id"]}}">
<nav class="review-place" id="queue" data-live aria-label="Queue">
% if place.previous:
  <a class="button" href="/review/{{place.previous}}" rel="prev" data-key="p k">Previous</a>
% end
  <span class="meta">\\
% if place.number:
{{place.number}} of {{place.total}}\\
% elif place.total:
{{place.total}} {{"waits" if place.total == 1 else "wait"}}\\
% else:
none waits\\
% end
</span>
% if place.next:
  <a class="button" href="/review/{{place.next}}" rel="next" data-key="n j">Next</a>
% end
</nav>
<div class="review-decide">
% if may:
<form class="review-approve" method="post" action="/review/{{task["id"]}}/approve">
% for name, value in hidden["approve"].items():
  <input type="hidden" name="{{name}}" value="{{value}}">
% end
  <button class="primary" id="approve" data-key="a">Approve</button>
% typed = attempt.typed("approve").get("reason", "")
  <details id="approve-more"{{" open" if typed else ""}}>
    <summary>with remark</summary>
    <label for="approve-reason">Remark (optional)</label>
    <textarea id="approve-reason" name="reason" rows="2" maxlength="2000">
{{typed}}</textarea>
  </details>
</form>
<details class="review-panel" id="reject" name="decide" data-key="r"{{" open" if attempt.command == "reject" else ""}}>
  <summary class="button danger">Reject…</summary>
% include("review_reject.tpl", task=task, attempt=attempt, hidden=hidden["reject"], reasons=reasons)
</details>
% end
% if "comment" in offered:
<details class="review-panel" id="comment" name="decide" data-key="c"{{" open" if attempt.command == "comment" else ""}}>
  <summary class="button">Comment…</summary>
% action = actions["comment"]
% include("form.tpl", action=f"/review/{task['id']}/comment", uploads=True, hidden=hidden["comment"], fields=action.fields, prefix="comment", values=attempt.typed("comment"), errors=attempt.problems("comment"), tone="primary", button=action.button)
</details>
% end
</div>
<p class="hint" id="key-hint" hidden></p>
</section>
