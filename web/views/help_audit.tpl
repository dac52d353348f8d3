% rebase("layout.tpl", title="Help: audit", section="help")
<div class="helped">
% include("help_nav.tpl")
<article class="article">
<h1>Audit it without trusting anybody</h1>
<p>The whole history is one git repository. You need a clone, stock <code>git</code>, and for the full proof the program <code>taskrepo</code>: no server is asked, and nothing on these pages has to be believed.</p>
<h2 id="story">Read the story</h2>
<pre>git clone {{base}}/git/exchange.git ledger    # the password is an API key
cd ledger
git log --first-parent --format='%h %ad %an: %s' --date=iso</pre>
<p>One line is one step: when, by whom, and what was asked. The trailers of a commit say what happened: the task, the states before and after, the attempt, the door it came through.</p>
<pre>git log --first-parent -1
git log --first-parent --grep='^Event: approved$' --format='%h %ad %an: %s'
git log --first-parent --format='%an' | sort | uniq -c</pre>
<h2 id="signatures">Check who signed</h2>
<pre>git config gpg.ssh.allowedSignersFile "$PWD/allowed_signers"
git log --first-parent --show-signature -5
git verify-commit HEAD
git fsck --strict</pre>
<p>Every commit on <code>main</code> is signed by the exchange. What that says of the actor depends on how the step came:</p>
<dl class="words">
  <dt>attested</dt><dd>It came through a page, the API or the command line. The exchange had checked the actor's session, key or account, and vouches for it with its own signature. That it was the actor is the exchange's word.</dd>
  <dt>self-signed</dt><dd>The actor pushed it with git, as a commit signed with their own key. It is the second parent of a merge commit, named in its <code>Request</code> trailer: <code>git verify-commit COMMIT^2</code>. Nobody but the holder of the key can have asked for it, not even the exchange.</dd>
</dl>
<p>Stock git judges a key by the date a commit claims, so a retired key can be made to look good by an old date. The ledger's rule is the place: a key counts if the actor's record in the commit before has it, and it was not retired there. <code>taskrepo verify</code> goes by that rule.</p>
<h2 id="verify">Prove every step again</h2>
<pre>taskrepo verify</pre>
<pre class="said" tabindex="0" aria-label="What it answers">1,003 commits and 200 tasks are as the rules make them, up to 097341f4….
1,003 judged in 2.3 s, 2.3 ms a commit.
The exchange's founding key is SHA256:g05/pAOw350iBTmL….
212 are self-signed, 791 attested by the exchange.</pre>
<p>It checks every byte and signature, decides every step again by the rules — with the keys, the policy and the state of that moment — and compares what comes out with what is recorded. A table says how many commits each actor has and each key signed; of a key that was revoked, how many it signed in the time for which it is not to be trusted. The first commit that is wrong is named with the reason. The exit code is 0 if all is well, 1 if not, and 2 if the clone is incomplete.</p>
<p>What it found is remembered in the clone's git folder, so the next time only what is new is judged:</p>
<pre>git pull --quiet
taskrepo verify --json &gt; ../verdict.json
taskrepo verify --all    # from the first commit again</pre>
<p>Compare the founding key with somebody who knows it from elsewhere, or let it be compared: <code>taskrepo verify --key SHA256:…</code> fails for any other ledger.</p>
<h2 id="rewritten">If the history was rewritten</h2>
<p>After a forced push, a restored backup or a swapped repository the new history may be flawless and signed by the exchange. Only who remembers the old one can tell: <code>verify</code> then fails with <code>rewritten-history</code>, and names the commit it remembered, the newest one that both have, and what was lost. It goes on failing until you take the new history for good with <code>taskrepo verify --accept</code>.</p>
<h2 id="export">Take it with you</h2>
<pre>taskrepo export -o ../history.jsonl
taskrepo export --format csv -o ../history.csv
taskrepo export --since $(git rev-parse HEAD~2)
taskrepo export --check ../history.csv</pre>
<p>One record for each commit, oldest first: position, commit, time, actor, command and event, task or record, the states, attempt and door, the request's commit, what the exchange's and the actor's signatures are worth with the keys that made them, and the words. Every clone gives the same file, so whoever gets one can <code>--check</code> it against a clone. In CSV a <code>'</code> stands before whatever a spreadsheet would take for a formula.</p>
<h2 id="limits">What this proves, and what it cannot</h2>
<ul>
  <li><strong>It proves</strong> that every step was allowed to that actor in that state by the rules and keys of its moment, that the record says exactly what the steps make of it, that no file or word was changed afterwards, and that nothing you have verified before is gone.</li>
  <li><strong>It cannot show</strong> whether the exchange shows somebody else another history. Compare <code>git rev-parse origin/main</code> with them: one id stands for every byte before it.</li>
  <li><strong>An attested step</strong> is the exchange's word on who it was; a self-signed one is not.</li>
  <li><strong>Times</strong> are the exchange's clock. The order is proved, the hour is not.</li>
  <li><strong>Large files</strong> are in git as Git LFS pointers: <code>git lfs fetch --all</code>, then <code>git lfs fsck</code> checks them by the hash in the pointer.</li>
  <li><strong>Private tasks</strong> are proved without being read: their states, people and times are open, their words and files encrypted.</li>
</ul>
</article>
</div>
