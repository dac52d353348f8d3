<section class="card" id="live-facts" data-live aria-labelledby="facts">
<h2 id="facts">Facts</h2>
<dl class="facts">
  <dt>Publisher</dt><dd><a href="/actors/{{task["publisher"]}}">{{task["publisher"]}}</a>\\
% if honour:
 <span class="meta honour">{{honour}}</span>\\
% end
</dd>
  <dt>Assignee</dt><dd>\\
% if task["assignee"]:
<a href="/actors/{{task["assignee"]}}">{{task["assignee"]}}</a>\\
% else:
nobody\\
% end
</dd>
  <dt>Reviewer</dt><dd>\\
% if task["reviewer"] in ("anyone", "none"):
{{"anyone" if task["reviewer"] == "anyone" else "none: submitting approves"}}\\
% else:
<a href="/actors/{{task["reviewer"]}}">{{task["reviewer"]}}</a>\\
% end
</dd>
  <dt>Priority</dt><dd>{{task["priority"]}}</dd>
% if task["due_at"]:
  <dt>Due</dt><dd>{{!when(task["due_at"], now)}}</dd>
% elif estimate:
  <dt>Due</dt><dd class="meta">{{estimate}}, estimated by its priority</dd>
% end
% if manifest.get("blocked_by"):
  <dt>Blocked by</dt><dd>\\
% for other in named:
<a href="/tasks/{{other["id"]}}">{{other["title"]}}</a> <span class="state {{other["state"]}}">{{other["state"]}}</span><br>
% end
% if len(named) < len(manifest["blocked_by"]):
{{len(manifest["blocked_by"]) - len(named)}} you may not see{{f", {waits.hidden} of them unsettled" if waits.hidden else ""}}\\
% end
</dd>
% end
% if needed_by:
  <dt>Blocks</dt><dd>\\
% for other in needed_by:
<a href="/tasks/{{other["id"]}}">{{other["title"]}}</a><br>
% end
</dd>
% end
  <dt>Version</dt><dd><a href="/tasks/{{task["id"]}}/versions">{{task["version"]}}</a>\\
% if task["version"] > 1:
 – <a href="/tasks/{{task["id"]}}/versions/{{task["version"] - 1}}/compare/{{task["version"]}}">what changed</a>\\
% end
</dd>
  <dt>Created</dt><dd>{{!when(task["created_at"], now)}}</dd>
  <dt>Changed</dt><dd>{{!when(task["updated_at"], now)}}</dd>
</dl>
</section>
<section class="card" id="live-terms" data-live aria-labelledby="terms">
<h2 id="terms">Terms</h2>
<dl class="facts">
  <dt>Who may do it</dt><dd>{{words(manifest.get("executor_constraints", "human_or_agent"))}}</dd>
  <dt>Reasoning</dt><dd>{{manifest.get("reasoning_tier", "low")}}</dd>
  <dt>Browser</dt><dd>{{words(manifest.get("browser_requirement", "none"))}}</dd>
  <dt>Compute</dt><dd>{{manifest.get("compute_requirement", "tiny")}}</dd>
  <dt>Preference</dt><dd>{{manifest.get("speed_priority", "balanced")}}</dd>
% if "lease_seconds" in manifest:
  <dt>Lease</dt><dd>{{span(manifest["lease_seconds"])}}</dd>
% end
% if "max_attempts" in manifest:
  <dt>Attempts</dt><dd>{{len(attempts)}} of {{manifest["max_attempts"]}}</dd>
% end
% if manifest.get("readers"):
  <dt>Readers</dt><dd>{{", ".join(manifest["readers"])}}</dd>
% end
% for name, label in (("external_id", "External id"), ("origin", "Origin"), ("source_name", "Source"), ("source_url", "Source address")):
% if manifest.get(name):
  <dt>{{label}}</dt><dd>\\
% if name == "source_url" and manifest[name].startswith(("https://", "http://")):
<a href="{{manifest[name]}}" rel="nofollow noopener noreferrer ugc">{{manifest[name]}}</a>\\
% else:
{{manifest[name]}}\\
% end
</dd>
% end
% end
</dl>
</section>
