% rebase("layout.tpl", title="Webhook", section="me")
<p class="crumb"><a href="/me">You</a> / <a href="/me/webhooks">Webhooks</a></p>
% base, live = "/me/webhooks/" + hook["id"], hook["state"] == "active"
<div class="heading">
  <h1>{{hook["description"] or "Webhook"}}</h1>
  <p class="tags"><code class="id">{{hook["id"]}}</code> <span class="state {{"approved" if live else "failed" if hook["state"] == "disabled" else "draft"}}">{{hook["state"]}}</span></p>
</div>
% include("refused.tpl", title="That was refused.")
% if secret:
% include("secret.tpl", title="The secret of this webhook.", secret=secret)
% end
% if hook["reason"]:
<p class="note bad"><strong>The exchange sends nothing more there.</strong> {{hook["reason"]}} Resume it when the receiver is well: it goes on where it stopped.</p>
% elif hook["failures"]:
<p class="note warn">The next event could not be delivered {{hook["failures"]}} time{{"" if hook["failures"] == 1 else "s"}} since {{!when(hook["failing_since"], now)}}. The next attempt: {{!when(hook["retry_at"], now, short=True)}}.</p>
% end
<div class="columns">
<aside class="first">
<section class="card" aria-labelledby="facts">
<h2 id="facts">Where it stands</h2>
<dl class="facts">
  <dt>Sends to</dt><dd>{{hook["url"]}}</dd>
  <dt>Events</dt><dd>{{hook["filter"] or "every one"}}</dd>
  <dt>Delivered</dt><dd>\\
% if hook["last_event"]:
<code class="id">{{hook["last_event"][:10]}}</code> {{!when(hook["last_event_at"], now, short=True)}}\\
% else:
nothing yet\\
% end
</dd>
  <dt>Since</dt><dd>{{!when(hook["created_at"], now)}}</dd>
% if hook["old_secret_until"]:
  <dt>Old secret</dt><dd>signs too until {{!when(hook["old_secret_until"], now)}}</dd>
% end
</dl>
% for name, label, hint in (("test", "Send a ping", ""), ("pause", "Pause", "") if live else ("resume", "Resume", ""), ("rotate", "Make a new secret", "For a day messages carry the old signature as well.")):
<form method="post" action="{{base}}/{{name}}">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
% if hint:
  <p class="hint">{{hint}}</p>
% end
  <p class="buttons"><button>{{label}}</button></p>
</form>
% end
<details id="remove"><summary>Remove</summary>
<form method="post" action="{{base}}/remove">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <p class="buttons"><button class="danger">Remove it for good</button></p>
</form></details>
</section>
</aside>
<div class="main">
<section id="deliveries" aria-labelledby="deliveries-title">
<h2 id="deliveries-title">Latest deliveries</h2>
% if tried:
<div class="scroll credentials" role="region" tabindex="0" aria-label="Table of deliveries">
<table class="stacked">
  <thead><tr><th scope="col">When</th><th scope="col">Event</th><th scope="col">About</th><th scope="col" class="number">Attempt</th><th scope="col">Result</th><th scope="col"><span class="unseen">Send again</span></th></tr></thead>
  <tbody>
% for each in tried:
  <tr><td data-head="when">{{!when(each["at"], now, short=True)}}</td>
    <td>{{(each["type"] or "–").removeprefix("taskrepo.")}} <code class="id">{{each["event"][:10]}}</code></td>
    <td data-head="about">\\
% if (each["type"] or "").startswith("taskrepo.task."):
<a href="/tasks/{{each["subject"]}}">{{each["subject"]}}</a>\\
% else:
{{each["subject"] or "–"}}\\
% end
</td>
    <td class="number" data-head="attempt">{{each["attempt"]}}</td>
    <td data-head="result"><span class="state {{"approved" if each["delivered"] else "failed"}}">{{each["status"] or "no answer"}}</span> {{each["error"] or ""}} <span class="meta">{{each["milliseconds"]}} ms</span></td>
    <td>\\
% if len(each["event"]) == 40:
<form method="post" action="{{base}}/again" class="inline">
      <input type="hidden" name="csrf" value="{{visit.csrf}}">
      <input type="hidden" name="event" value="{{each["event"]}}">
      <button class="quiet">Send again<span class="unseen"> {{each["event"][:10]}}, number {{each["number"]}}</span></button>
    </form>\\
% end
</td></tr>
% end
  </tbody>
</table>
</div>
% else:
<p class="empty">Nothing has been sent yet. Send a ping to see whether the receiver answers.</p>
% end
</section>
<section class="card narrow" aria-labelledby="change">
<h2 id="change">Change</h2>
% include("form.tpl", action=base + "/change", uploads=False, hidden={"csrf": visit.csrf}, fields=fields["change"], prefix="change", values=values["change"], errors=wrong.get("change", {}), tone="", button="Save")
</section>
<section class="card narrow" aria-labelledby="replay">
<h2 id="replay">Send events once more</h2>
% include("form.tpl", action=base + "/replay", uploads=False, hidden={"csrf": visit.csrf}, fields=fields["replay"], prefix="replay", values=values.get("replay", {}), errors=wrong.get("replay", {}), tone="", button="Send again")
</section>
</div>
</div>
