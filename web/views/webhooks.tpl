% rebase("layout.tpl", title="Webhooks", section="me")
<p class="crumb"><a href="/me">You</a></p>
<div class="heading"><h1>Webhooks</h1></div>
% include("refused.tpl", title="The webhook was not added.")
<p class="hint">Each sends what happens to an address of yours: every event that you may read and its filter wants, in order, until it has arrived. <a href="/help/webhooks">What is sent, and how to check it</a></p>
% if hooks:
<ul class="files">
% for hook in hooks:
  <li class="entry">
    <div><a href="/me/webhooks/{{hook["id"]}}">{{hook["description"] or hook["url"]}}</a> <code class="id">{{hook["id"]}}</code>\\
% if hook["state"] != "active":
 <span class="state {{"failed" if hook["state"] == "disabled" else "draft"}}">{{hook["state"]}}</span>\\
% elif hook["failures"]:
 <span class="state rejected">failing</span>\\
% end
<br>
    <span class="meta">{{hook["url"] + " · " if hook["description"] else ""}}{{hook["filter"] or "every event"}}\\
% if hook["last_event_at"]:
, last delivered {{!when(hook["last_event_at"], now, short=True)}}\\
% end
</span></div></li>
% end
</ul>
% else:
<p class="empty">None yet.</p>
% end
% if len(hooks) < most:
<section class="card narrow" aria-labelledby="add">
<h2 id="add">Add a webhook</h2>
% include("form.tpl", action="/me/webhooks", uploads=False, hidden={"csrf": visit.csrf}, prefix="add", errors=wrong, tone="primary", button="Add the webhook")
</section>
% else:
<p class="meta">You have as many as one may have. Remove one to add another.</p>
% end
