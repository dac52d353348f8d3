% run = attempts[0] if attempts else None
% state = task["state"]
<section class="card now {{state}}" id="live-now" data-live aria-labelledby="now">
<h2 id="now">Where it stands</h2>
% if state == "draft":
<p>A draft of <a href="/actors/{{task["publisher"]}}">{{task["publisher"]}}</a>: nobody can claim it yet.</p>
% elif state == "published":
<p>Open since {{!when(task["published_at"], now)}}: \\
% if waits:
nobody can claim it before what it waits for is approved.</p>
% else:
whoever is eligible can claim it.</p>
% end
% elif state in ("claimed", "running"):
<p class="holder"><a href="/actors/{{holder["id"]}}">{{holder["name"]}}</a> <span class="meta">{{holder["type"]}}</span><br>
{{"has claimed it" if state == "claimed" else "works on it"}}: attempt {{run["number"]}}, claimed {{!when(run["claimed_at"], now, short=True)}}.</p>
% elif state == "submitted":
<p class="holder"><strong>Waits for a review</strong> by \\
% if task["reviewer"] in ("anyone", "none"):
{{task["reviewer"]}}\\
% else:
<a href="/actors/{{task["reviewer"]}}">{{task["reviewer"]}}</a>\\
% end
 since {{!when(review_since, now)}}.</p>
<p class="meta">Submitted by <a href="/actors/{{task["assignee"]}}">{{holder["name"] if holder else task["assignee"]}}</a>{{f", {holder['type']}" if holder else ""}}.</p>
% if "approve" in offered:
<p><a href="/review/{{task["id"]}}">Review it beside its criteria</a></p>
% end
% elif state == "rejected":
<p>The last submission was rejected. <a href="/actors/{{task["assignee"]}}">{{holder["name"] if holder else task["assignee"]}}</a> can take it up again.</p>
% elif state == "approved":
<p>Approved{{!" " + when(task["closed_at"], now, short=True) if task["closed_at"] else ""}}; done by <a href="/actors/{{task["assignee"]}}">{{holder["name"] if holder else task["assignee"]}}</a>.</p>
% elif state == "failed":
<p>Failed {{!when(task["closed_at"], now, short=True)}}: <a href="/actors/{{run["actor"]}}">{{run["actor"]}}</a> {{"gave up" if run["outcome"] == "failed" else "let the lease of the last attempt run out"}}.{{f" At fault: the {run['fault']}." if run["fault"] else ""}}</p>
% if run["reason"]:
<p>Reason: {{run["reason"]}}</p>
% end
% else:
<p>{{state.capitalize()}}{{!" " + when(task["closed_at"], now, short=True) if task["closed_at"] else ""}}.</p>
% end
% if task["reason"] and not task["erased_at"] and state in ("published", "cancelled", "archived"):
<p>{{"Reopened" if state == "published" else "Reason"}}: {{task["reason"]}}</p>
% end
% if lease:
<p class="lease {{lease.tone}}" data-until="{{lease.until}}" data-now="{{lease.now}}" data-seconds="{{lease.seconds}}"{{!' data-mine="1"' if holder and holder["id"] == visit.actor.id else ''}}{{!' data-paused="1"' if lease.tone == "paused" else ''}}>Lease \\
% if lease.tone == "paused":
<span class="left">{{lease.left}}</span>\\
% else:
until <time datetime="{{lease.until}}">{{lease.clock}}</time> (<span class="left" role="timer">{{lease.left}}</span>)\\
% end
</p>
% end
% if run and run["active"]:
% if run["percent"] is not None:
<p class="progress"><progress max="100" value="{{run["percent"]}}" aria-label="Progress">{{run["percent"]}}%</progress> <span>{{run["percent"]}}%</span></p>
% end
% if run["note"]:
<p class="note-said">{{run["note"]}}</p>
% end
<p class="meta">Last sign of life {{!when(run["seen_at"], now, short=True)}}.</p>
% end
</section>
