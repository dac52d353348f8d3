% manifest = task["manifest"]
% rebase("layout.tpl", title=task["title"])
<p class="crumb"><a href="/tasks">Tasks</a></p>
<div class="heading">
  <h1>{{task["title"]}}</h1>
  <p class="tags">\\
% include("state.tpl", state=task["state"])
% if task["waiting"]:
 <span class="state waiting">question open</span>\\
% end
 <code class="id">{{task["id"]}}</code>\\
% if manifest.get("visibility") == "private":
 <span class="label private">private</span>\\
% end
% for label in task["labels"]:
 <span class="label">{{label}}</span>\\
% end
</p>
</div>
% if task["erased_at"]:
% erased = next((event for event in events if event["event"] == "erased"), None)
<div class="note bad erased" role="note">
  <p><strong>This task was erased</strong>\\
% if erased:
 by <a href="/actors/{{erased["actor"]}}">{{erased["actor"]}}</a>\\
% end
, {{!when(task["erased_at"], now)}}. The key to its content was destroyed: nobody can read its texts and files any more. What was done with it, by whom and when, stays in its history.</p>
  <p>Reason: {{task["reason"]}}</p>
</div>
% end
% if attempt.error:
% include("refused.tpl", title=f"{actions[attempt.command].title}: refused.", error=attempt.error, files=actions[attempt.command].uploads)
% for at, text in enumerate(attempt.lost(offered)):
<div class="field">
  <label for="lost-{{at}}">What you typed, to copy</label>
  <textarea id="lost-{{at}}" readonly rows="4">
{{text}}</textarea>
</div>
% end
% end
<div class="columns">
<aside class="first" aria-label="What to do, and by whom">
<section class="card" aria-labelledby="do">
<h2 id="do">What you can do</h2>
% steps = [c for c in offered if c not in ("comment", "revise")]
% for command in steps:
% action = actions[command]
% tried = attempt.command == command
% tone = "danger" if action.grave else "primary" if command == steps[0] else ""
% if not action.fields:
<div class="step" id="do-{{command}}">
% include("form.tpl", action=f"/tasks/{task['id']}/{command}", uploads=False, hidden=hidden[command], fields=(), prefix=command, values={}, errors={}, tone=tone, button=action.button)
% if action.hint:
  <p class="hint">{{action.hint}}</p>
% end
</div>
% else:
<details class="step" id="do-{{command}}"{{" open" if tried or command in ("answer", "approve", "reject") else ""}}>
  <summary>{{action.title}}</summary>
% if action.hint:
  <p class="hint">{{action.hint}}</p>
% end
% for remark in (r for r in remarks if command == "answer" and r["number"] == task["question"]):
  <div class="remark question prose">{{!markdown(remark["text"])}}</div>
% end
% include("form.tpl", action=f"/tasks/{task['id']}/{command}", uploads=action.uploads, hidden=hidden[command], fields=action.fields, prefix=command, values=attempt.typed(command), errors=attempt.problems(command), tone=tone, button=action.button)
</details>
% end
% end
% if "revise" in offered:
<p><a class="button" href="/tasks/{{task["id"]}}/edit">Edit</a></p>
% end
% if not steps and "revise" not in offered:
<p class="meta">Nothing just now, but you can comment below.</p>
% end
% if reasons and task["state"] != "archived" and task["assignee"] != visit.actor.id:
<details class="step"{{" open" if task["state"] == "published" else ""}}>
  <summary>Why can't I claim this?</summary>
  <ul>
% for reason in reasons:
    <li>{{reason}}</li>
% end
  </ul>
</details>
% end
</section>
<section class="card" aria-labelledby="facts">
<h2 id="facts">Facts</h2>
<dl class="facts">
  <dt>Publisher</dt><dd><a href="/actors/{{task["publisher"]}}">{{task["publisher"]}}</a></dd>
  <dt>Assignee</dt><dd>\\
% if task["assignee"]:
<a href="/actors/{{task["assignee"]}}">{{task["assignee"]}}</a>\\
% else:
nobody\\
% end
</dd>
  <dt>Reviewer</dt><dd>{{task["reviewer"]}}</dd>
% if task["lease"]:
  <dt>Lease</dt><dd>\\
% if task["lease"]["paused"]:
stands still until the question is answered\\
% else:
until {{!when(task["lease"]["until"], now)}}\\
% end
</dd>
% end
% run = task["executions"][-1] if task["executions"] else None
% if run and run["outcome"] != "active":
% run = None
% end
% if run and run["percent"] is not None:
  <dt>Progress</dt><dd><progress max="100" value="{{run["percent"]}}">{{run["percent"]}} %</progress> {{run["percent"]}} %{{": " + run["note"] if run["note"] else ""}}</dd>
% elif run and run["note"]:
  <dt>Progress</dt><dd>{{run["note"]}}</dd>
% end
% if task["due_at"]:
  <dt>Due</dt><dd>{{!when(task["due_at"], now)}}</dd>
% end
% if task["reason"] and not task["erased_at"]:
  <dt>Reason</dt><dd>{{task["reason"]}}</dd>
% end
</dl>
</section>
</aside>
<div class="main">
<section aria-labelledby="description">
<h2 id="description">Description</h2>
<div class="prose">{{!markdown(manifest["description"])}}</div>
</section>
% if manifest.get("acceptance"):
<section aria-labelledby="acceptance">
<h2 id="acceptance">Acceptance</h2>
<ul class="checks">
% for item in manifest["acceptance"]:
% if isinstance(item, str):
  <li>{{!inline(item)}}</li>
% else:
  <li><strong>{{item["id"]}}</strong> {{!inline(item["text"])}}</li>
% end
% end
</ul>
</section>
% end
% if manifest.get("deliverables") or result_schema:
<section aria-labelledby="deliverables">
<h2 id="deliverables">Deliverables</h2>
% if manifest.get("deliverables"):
<ul class="checks">
% for item in manifest["deliverables"]:
% if isinstance(item, str):
  <li>{{!inline(item)}}</li>
% else:
  <li>\\
% if item.get("path"):
<code>{{item["path"]}}</code>{{" — " if item.get("description") else ""}}\\
% end
{{!inline(item.get("description", ""))}} <span class="meta">{{", ".join(filter(None, (item.get("media_type"), f"at least {size(item['min_bytes'])}" if "min_bytes" in item else "", f"at most {size(item['max_bytes'])}" if "max_bytes" in item else "", "" if item.get("required", True) else "optional")))}}</span></li>
% end
% end
</ul>
% end
% if result_schema:
<details><summary>The schema that <code>result.json</code> must fit</summary><pre>{{result_schema}}</pre></details>
% end
</section>
% end
% if readme:
<section aria-labelledby="readme">
<h2 id="readme">README</h2>
<div class="prose">{{!markdown(readme)}}</div>
</section>
% end
% if manifest.get("source_context"):
<section aria-labelledby="source">
<h2 id="source">Where it comes from</h2>
<div class="prose">{{!markdown(manifest["source_context"])}}</div>
</section>
% end
% if task["files"]:
<section aria-labelledby="files">
<h2 id="files">Files</h2>
% include("files.tpl", files=task["files"][:most_files])
% if not task.get("erased_at"):
<p class="meta">Download all with the manifest: <a href="/tasks/{{task["id"]}}/archive.zip" download>.zip</a> <a href="/tasks/{{task["id"]}}/archive.tar.gz" download>.tar.gz</a></p>
% end
</section>
% end
% if submissions:
<section aria-labelledby="submissions">
<h2 id="submissions">Submissions</h2>
% for made in submissions:
<article class="card">
  <h3>Submission {{made["number"]}} <span class="meta">by <a href="/actors/{{made["by"]}}">{{made["by"]}}</a>, execution {{made["execution"]}}, {{!when(made["at"], now, short=True)}}</span></h3>
  <div class="prose">{{!markdown(made["summary"])}}</div>
% if made["files"]:
% include("files.tpl", files=made["files"])
% end
% if made["files"] and not task.get("erased_at"):
% place = f"/tasks/{task['id']}/submissions/{made['number']}/archive"
  <p class="meta">Download all with the summary: <a href="{{place}}.zip" download>.zip</a> <a href="{{place}}.tar.gz" download>.tar.gz</a></p>
% end
% if made["result"]:
  <details><summary>result.json</summary><pre>{{made["result"]}}</pre></details>
% end
% if made["review"]:
% review = made["review"]
  <div class="note {{'good' if review['decision'] == 'approved' else 'bad'}}">
    <p><strong>{{review["decision"].capitalize()}}</strong> by {{review["by"]}}, {{!when(review["at"], now, short=True)}}</p>
% if made["reason"]:
    <div class="prose">{{!markdown(made["reason"])}}</div>
% end
  </div>
% elif task["state"] == "submitted":
  <p class="meta">Waits for a review by {{task["reviewer"]}}.</p>
% end
</article>
% end
</section>
% end
% if task["executions"]:
<section aria-labelledby="executions">
<h2 id="executions">Executions</h2>
<div class="scroll">
<table>
  <thead><tr><th scope="col">No.</th><th scope="col">Actor</th><th scope="col">Version</th><th scope="col">Outcome</th><th scope="col">Claimed</th><th scope="col">Last sign of life</th><th scope="col">Notes</th></tr></thead>
  <tbody>
% for run in reversed(task["executions"]):
  <tr><td>{{run["number"]}}</td><td><a href="/actors/{{run["actor"]}}">{{run["actor"]}}</a></td><td><a href="/tasks/{{task["id"]}}/versions/{{run["version"]}}">{{run["version"]}}</a></td><td>{{run["outcome"]}}{{f" (fault: {run['fault']})" if run["fault"] else ""}}</td><td>{{!when(run["claimed_at"], now, short=True)}}</td><td>{{!when(run["heartbeat_at"] or run["started_at"] or run["claimed_at"], now, short=True)}}</td><td>{{run["reason"] or run["note"] or ""}}</td></tr>
% end
  </tbody>
</table>
</div>
</section>
% end
<section aria-labelledby="discussion">
<h2 id="discussion">Discussion</h2>
% if remarks and remarks[0]["number"] > 1:
<p class="meta">The first {{remarks[0]["number"] - 1}} of {{task["discussion"]}} entries are not shown here.</p>
% end
% for remark in remarks:
<article class="remark {{remark["kind"]}}" id="entry-{{remark["number"]}}">
  <h3><a href="/actors/{{remark["by"]}}">{{remark["by"]}}</a> <span class="meta">{{remark["kind"]}}{{", open" if task["question"] == remark["number"] else ""}}, {{!when(remark["at"], now, short=True)}}</span></h3>
  <div class="prose">{{!markdown(remark["text"])}}</div>
% if remark["files"]:
% include("files.tpl", files=remark["files"])
% end
</article>
% end
% if not remarks:
<p class="meta">Nothing has been said yet.</p>
% end
% if "comment" in offered:
<div class="step" id="do-comment">
% action = actions["comment"]
% include("form.tpl", action=f"/tasks/{task['id']}/comment", uploads=True, hidden=hidden["comment"], fields=action.fields, prefix="comment", values=attempt.typed("comment"), errors=attempt.problems("comment"), tone="", button=action.button)
</div>
% end
</section>
<section aria-labelledby="history">
<h2 id="history">History</h2>
<ol class="history" reversed>
% for event in events:
  <li>
    <span class="what"><strong>{{words(event["event"])}}</strong> by <a href="/actors/{{event["actor"]}}">{{event["actor"]}}</a>{{f", execution {event['execution']}" if event["execution"] else ""}}</span>
    <span class="meta">{{!when(event["at"], now, short=True)}} · via {{event["via"]}} · {{event["signature"]}} · <code title="{{event["commit"]}}">{{event["commit"][:12]}}</code></span>
  </li>
% end
</ol>
<p class="meta">Attested: signed by the exchange, for the actor whose key or session gave the command. <a href="/help#check">How to check</a></p>
</section>
% if cut:
<p><a href="/tasks/{{task["id"]}}?all=1">Show everything</a></p>
% end
</div>
<aside class="last" aria-label="Terms">
<section class="card" aria-labelledby="terms">
<h2 id="terms">Terms</h2>
<dl class="facts">
  <dt>Priority</dt><dd>{{task["priority"]}}</dd>
  <dt>Who may do it</dt><dd>{{words(manifest.get("executor_constraints", "human_or_agent"))}}</dd>
  <dt>Reasoning</dt><dd>{{manifest.get("reasoning_tier", "low")}}</dd>
  <dt>Browser</dt><dd>{{words(manifest.get("browser_requirement", "none"))}}</dd>
  <dt>Compute</dt><dd>{{manifest.get("compute_requirement", "tiny")}}</dd>
  <dt>Preference</dt><dd>{{manifest.get("speed_priority", "balanced")}}</dd>
% if "max_attempts" in manifest:
  <dt>Attempts</dt><dd>{{len(task["executions"])}} of {{manifest["max_attempts"]}}</dd>
% end
  <dt>Version</dt><dd><a href="/tasks/{{task["id"]}}/versions">{{task["version"]}}</a>\\
% if task["version"] > 1:
 – <a href="/tasks/{{task["id"]}}/versions/{{task["version"] - 1}}/compare/{{task["version"]}}">what changed</a>\\
% end
</dd>
  <dt>Created</dt><dd>{{!when(task["created_at"], now)}}</dd>
  <dt>Updated</dt><dd>{{!when(task["updated_at"], now)}}</dd>
% for name, label in (("external_id", "External id"), ("origin", "Origin"), ("source_name", "Source"), ("source_url", "Source address")):
% if manifest.get(name):
  <dt>{{label}}</dt><dd>{{manifest[name]}}</dd>
% end
% end
</dl>
</section>
</aside>
</div>
