% rebase("layout.tpl", title="Administration", section="admin")
<div class="heading"><h1>Administration</h1></div>
% include("admin_nav.tpl", here="overview")
% if going:
<p class="note warn" role="status">“{{works[going.name][0]}}” is going on, since {{!when(at(going.begun_at), now, short=True)}}. <a href="/admin/maintenance">See how far it is</a></p>
% end
<div class="laid">
<section class="card" aria-labelledby="actors" data-live id="part-actors">
<h2 id="actors">Actors</h2>
<table>
  <thead><tr><th scope="col">Type</th><th scope="col" class="number">Active</th><th scope="col" class="number">Suspended</th><th scope="col" class="number">Admins</th></tr></thead>
  <tbody>
% for kind, active, suspended, admins in standing:
  <tr><th scope="row">{{kind}}</th><td class="number">{{f"{active:,}"}}</td><td class="number">{{f"{suspended:,}"}}</td><td class="number">{{f"{admins:,}"}}</td></tr>
% end
  </tbody>
</table>
<p class="meta"><a href="/actors">Add, change or suspend actors</a></p>
</section>

<section class="card" aria-labelledby="index" data-live id="part-index">
<h2 id="index">Listing index</h2>
<dl class="facts">
  <dt>Standing</dt><dd>\\
% if index.built is not None:
<span class="state waiting">being built anew</span> {{f"{index.built:,}"}} tasks so far\\
% elif index.stamp is None:
<span class="state waiting">empty</span> the next listing builds it\\
% elif index.behind == 0:
<span class="state approved">up to date</span>\\
% elif index.behind is None:
<span class="state waiting">behind</span> by more than 1,000 commits, or of another ledger\\
% else:
<span class="state waiting">behind</span> by {{f"{index.behind:,}"}} commit{{"" if index.behind == 1 else "s"}}\\
% end
</dd>
% if index.stamp:
  <dt>At commit</dt><dd><a href="/ledger/{{index.stamp}}"><code class="id">{{index.stamp[:12]}}</code></a></dd>
% end
  <dt>Kept by</dt><dd>{{"this process" if index.keeping else "no process yet, or another one"}}</dd>
  <dt>Last fault</dt><dd>\\
% if index.fault:
{{index.fault}}, {{!when(at(index.fault_at), now, short=True)}}\\
% else:
none since the start\\
% end
</dd>
</dl>
<p class="meta"><a href="/admin/maintenance#index">Build it anew</a></p>
</section>

<section class="card" aria-labelledby="housekeeping" data-live id="part-housekeeping">
<h2 id="housekeeping">Housekeeping</h2>
% if rounds:
<dl class="facts">
  <dt>Last round</dt><dd>{{!when(at(rounds.round_at), now, short=True)}}</dd>
  <dt>Last sweep</dt><dd>{{!when(at(rounds.swept_at), now, short=True)}}</dd>
  <dt>Next sweep</dt><dd>{{!when(at(rounds.next_sweep_at), now, short=True)}}</dd>
  <dt>Last fault</dt><dd>\\
% if rounds.fault:
{{rounds.fault}}, {{!when(at(rounds.fault_at), now, short=True)}}\\
% else:
none since the start\\
% end
</dd>
</dl>
% else:
<p>No housekeeping runs in this process: leases do not end by themselves, and nothing is swept.</p>
% end
<p class="meta"><a href="/admin/maintenance#sweep">Sweep now</a> · <a href="/ledger">Verification of the ledger</a></p>
</section>

<section class="card" aria-labelledby="storage">
<h2 id="storage">Storage</h2>
% if storage.weights:
<table>
  <thead><tr><th scope="col">Folder</th><th scope="col" class="number">Files</th><th scope="col" class="number">Size</th></tr></thead>
  <tbody>
% for name, weight in storage.weights.items():
  <tr><th scope="row">{{name}}</th><td class="number">{{"" if weight.whole else "over "}}{{f"{weight.files:,}"}}</td><td class="number">{{"" if weight.whole else "over "}}{{size(weight.size)}}</td></tr>
% end
  </tbody>
</table>
% else:
<p>The folders are being weighed. <a href="/admin">Look again</a></p>
% end
<dl class="facts">
  <dt>Packs</dt><dd>{{f"{storage.packs:,}"}}</dd>
  <dt>Disk</dt><dd><meter min="0" max="{{storage.total}}" value="{{storage.total - storage.free}}" aria-label="How full the disk is"></meter> <span>{{size(storage.free)}} free of {{size(storage.total)}}</span></dd>
% if storage.at:
  <dt>Weighed</dt><dd>{{!when(at(storage.at), now, short=True)}}</dd>
% end
</dl>
</section>

<section class="card" aria-labelledby="limits">
<h2 id="limits">Policy</h2>
<dl class="facts">
  <dt>Lease</dt><dd>{{span(policy.lease_seconds)}}, at most {{span(policy.max_lease_seconds)}}</dd>
  <dt>Attempts</dt><dd>{{policy.max_attempts}}, each of at most {{policy.max_submissions}} submissions</dd>
  <dt>Tasks held at once</dt><dd>{{policy.max_claims or "any number"}}</dd>
  <dt>One file</dt><dd>{{exact["max_file_bytes"]}}</dd>
  <dt>A task’s files</dt><dd>{{exact["max_task_bytes"]}}</dd>
  <dt>An actor’s files</dt><dd>{{exact["max_actor_bytes"]}}</dd>
  <dt>Own work</dt><dd>{{"may be reviewed" if policy.self_review else "is reviewed by others"}}</dd>
</dl>
<p class="meta"><a href="/admin/policy">See and change all of it</a></p>
</section>

<section class="card" aria-labelledby="server">
<h2 id="server">Server</h2>
<dl class="facts">
% for name, version in versions.items():
  <dt>{{name}}</dt><dd>{{version}}</dd>
% end
  <dt>Serving</dt><dd>since {{!when(since, now, short=True)}}</dd>
</dl>
<p class="meta"><a href="/admin/maintenance#checks">Make all checks</a></p>
</section>
</div>
