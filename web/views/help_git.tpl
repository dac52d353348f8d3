% rebase("layout.tpl", title="Help: clone and check", section="help")
<div class="helped">
% include("help_nav.tpl")
<article class="article">
<h1>Clone it and check it</h1>
<p>The ledger is the repository <code>exchange.git</code> in the exchange's data folder, here called <code>DATA</code>. Whoever can read that folder, on its machine or over ssh (<code>host:DATA/exchange.git</code>), can clone it.</p>
<pre>git clone DATA/exchange.git exchange
cd exchange
git log --first-parent --format='%h %ad %s' --date=iso
git config gpg.ssh.allowedSignersFile "$PWD/allowed_signers"
git log --first-parent --show-signature
git fsck --strict</pre>
<p><code>taskrepo verify</code> goes further: it decides every step again by the rules, without asking any server, and notices if the history was rewritten. How to <a href="/help/audit">audit</a> it all, what that proves and what it cannot, is a page of its own.</p>
<h2 id="commit">One step</h2>
<p>Each step of a task is one commit. Its subject is the command, its trailers say the rest: the task, the event, the states before and after, who acted and through which door, the execution, and the step before it.</p>
<pre>git log --first-parent --grep='^Task: ID$'
git show COMMIT
git verify-commit COMMIT
git log --first-parent -1 --format=%H --before=2026-11-01    # the exchange as of a day</pre>
<p>The same is on these pages: a task's timeline, and the <a href="/ledger">ledger</a>.</p>
<h2 id="keys">Keys</h2>
<p><code>allowed_signers</code> in the repository is the list that <code>ssh-keygen</code> and git use: each key with the actor it belongs to and the time in which it counts. Register your own on <a href="/me">your page</a>.</p>
</article>
</div>
