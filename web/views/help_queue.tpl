% rebase("layout.tpl", title="Help: personal queue", section="help")
<div class="helped">
% include("help_nav.tpl")
<article class="article">
<h1>Ingest and personal queue</h1>
<h2>A mail becomes tasks</h2>
<p><code>POST /api/v1/ingest</code>, or <code>taskrepo ingest FILE</code>, turns one piece of context (a mail, a chat, notes) into tasks of yours:</p>
<pre>curl -H "Authorization: Bearer $TASKREPO_KEY" -H "Content-Type: application/json" -d '{
  "origin": "email", "source_name": "Mail from Alice", "source_url": "https://mail.example.org/17",
  "source_context": "Alice asks for revised numbers by Friday.",
  "tasks": [{"title": "Send Alice the numbers", "priority": 2}, {"title": "Ask Bo for the budget"}]
}' {{base}}/api/v1/ingest</pre>
<p>A task is a manifest, of which only the title is required. What the envelope says of the source holds for each task that says nothing of its own; the origin is the envelope's for all. Nothing is made if one of them is malformed. The answer names the tasks <code>created</code> and the <code>duplicates</code>: sent again, the same call makes nothing twice, and after a failure only what is missing. A task is known by its <code>external_id</code>; one without it by all that it and its source say, so give one where a source may come again after it has changed.</p>
<h2>The personal-queue API</h2>
<p>Scripts written for Personal Task Assistant work here unchanged: give them this address and an API key of yours.</p>
<pre>export TASK_TRACKER_URL={{base}} TASK_TRACKER_API_KEY=tr_…
curl "$TASK_TRACKER_URL/api/agent/queue?assignee=codex&amp;sort=smart&amp;limit=25" \
  -H "Authorization: Bearer $TASK_TRACKER_API_KEY"</pre>
<p>The key may also come as <code>x-api-key</code>. The queue has the tasks you published through any door, and those that are yours to do. <code>me</code> is whose key it is, <code>codex</code> the agent of that name, and any actor's id is that actor.</p>
<table class="stacked">
<thead><tr><th scope="col">Call</th><th scope="col">Does</th></tr></thead>
<tbody>
<tr><td><code>GET /api/tasks</code></td><td>lists them; <code>status</code>, <code>assignee</code>, <code>include_done</code>, <code>limit</code>, <code>offset</code></td></tr>
<tr><td><code>POST /api/tasks</code>, <code>/api/agent/tasks</code></td><td>makes one; 409 if there is one with its <code>external_id</code></td></tr>
<tr><td><code>PATCH /api/tasks/ID</code></td><td>changes any fields</td></tr>
<tr><td><code>DELETE /api/tasks/ID</code></td><td>cancels and archives it: it is in no list any more</td></tr>
<tr><td><code>GET /api/agent/queue</code>, <code>/summary</code></td><td>what to do next, and the counts; <code>sort</code> is smart, due, created, updated, priority or owner</td></tr>
<tr><td><code>POST /api/agent/claim</code></td><td>the agent's best waiting task is in progress; 404 if there is none</td></tr>
<tr><td><code>POST /api/ingest/context</code>, <code>/api/agent/ingest/context</code></td><td>as ingest, but a task without an <code>external_id</code> is made each time</td></tr>
<tr><td><code>GET /api/reminders/due</code></td><td>what to be reminded of; set <code>reminder_last_sent_at</code> when you were</td></tr>
</tbody>
</table>
<h2>What it is in the exchange</h2>
<p>Every change is a command of yours, by the same rules as through any other door, and an event of the ledger. Tasks made here are <a href="/help/files">private</a>: you, and the actor they are assigned to, can read them.</p>
<table class="stacked">
<thead><tr><th scope="col">Status</th><th scope="col">In the exchange</th><th scope="col">Set by its publisher</th></tr></thead>
<tbody>
<tr><td>backlog</td><td>draft, published</td><td>reopen or cancel first, if need be</td></tr>
<tr><td>in_progress</td><td>claimed, running, rejected</td><td>the label <code>status/in_progress</code></td></tr>
<tr><td>waiting_review</td><td>submitted</td><td>the label <code>status/waiting_review</code></td></tr>
<tr><td>blocked</td><td>a question is open, failed, or it waits for other tasks; the label <code>blocked</code></td><td>the label <code>status/blocked</code></td></tr>
<tr><td>done</td><td>approved</td><td>approve, if an agent submitted it; else claim and submit</td></tr>
<tr><td>cancelled</td><td>cancelled</td><td>cancel</td></tr>
</tbody>
</table>
<ul>
  <li>Your own work has no lease, so it is a label and no claim: it may lie on your desk for weeks. A label holds until somebody executes the task.</li>
  <li>An agent with a key of its own claims, asks and submits for real, for seven days at a time. Its <code>done</code> is a submission that waits for you: <code>waiting_review</code>. It cannot change what is its publisher's.</li>
  <li>Fields that are changed while an agent has the task, or when it is closed, are kept beside the ledger, and go into it with its next revision. Setting another assignee or status takes the task back from the agent.</li>
  <li>The label <code>owner/ACTOR</code> is the assignee while nobody executes it. A date that comes from the priority is none in the manifest.</li>
</ul>
</article>
</div>
