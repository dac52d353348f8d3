% verdict = standing.verdict
% problem = verdict.problem if verdict else None
<section class="note standing {{"bad" if problem else "good" if verdict and standing.head else ""}}" id="standing" aria-label="Verification" data-live{{!' data-again' if standing.running else ''}}>
% if problem:
<p><strong>{{"The ledger was rewritten." if problem.code == "rewritten-history" else "The ledger is not sound."}}</strong> \\
% if problem.code == "rewritten-history":
{{problem.message[:1].upper() + problem.message[1:] if standing.counted else "What had been verified is no longer part of it. Ask an admin what was found"}}. \\
% if standing.counted:
If you know why, take the new history for good on the exchange's machine: <code>taskrepo verify --data DATA --accept</code>. \\
% end
% elif standing.wrong:
Commit <a class="id" href="/ledger/{{problem.commit}}">{{problem.commit[:12]}}</a>{{f", number {problem.position:,} of the history," if standing.counted else ""}} is wrong: {{problem.message}} (<code>{{problem.code}}</code>). \\
% elif standing.counted:
Commit <code>{{problem.commit}}</code>, number {{f"{problem.position:,}"}} of the history, is wrong: {{problem.message}} (<code>{{problem.code}}</code>). \\
% else:
Ask an admin what was found. \\
% end
Found {{!when(iso(verdict.at), now)}}.</p>
% elif verdict and standing.head:
<p><strong>Verified</strong> up to <a class="id" href="/ledger/{{standing.head}}" title="{{standing.head}}">{{standing.head[:12]}}</a>, {{!when(iso(verdict.at), now)}}: {{f"{verdict.commits:,} {'commit' if verdict.commits == 1 else 'commits'}, " if standing.counted else ""}}no problem. Everything from the first commit: {{!when(iso(verdict.whole_at), now, short=True)}}.</p>
% elif verdict:
<p><strong>Not verified yet.</strong> The last result is of another history.</p>
% else:
<p><strong>Not verified yet.</strong> The exchange verifies its own ledger a minute after it starts, every hour what is new, and every day all of it.</p>
% end
% if standing.failed:
<p>The last run could not be finished; the server's log says why.</p>
% end
% if standing.running:
<p><label for="verifying">Verifying</label> <progress id="verifying" max="100" value="{{standing.share}}">{{standing.share}}%</progress> {{standing.share}}%{{f" ({standing.running[0]:,} of {standing.running[1]:,} commits)" if standing.counted and standing.running[1] else ""}}</p>
% elif standing.counted:
<form class="buttons" method="post" action="/ledger/verify">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <button name="whole" value="1">Verify everything now</button>
% if verdict and not problem:
  <button name="whole" value="0" class="quiet">Only what is new</button>
% end
</form>
% end
</section>
