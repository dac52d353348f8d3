% rebase("layout.tpl", title="Help: clone and check", section="help")
<div class="helped">
% include("help_nav.tpl")
<article class="article">
<h1>Clone it and check it</h1>
<p>The ledger is a git repository, and everybody with an API key can clone it. The key is the password; the user name is not looked at. Keep the key where git finds it, then clone:</p>
<pre id="clone">git config --global credential.helper store    # a file in your home; cache, or your system's keychain, are others
printf 'url=%s\nusername=me\npassword=%s\n\n' {{base}} "$TASKREPO_KEY" | git credential approve
git clone {{base}}/git/exchange.git exchange</pre>
<p>A large ledger comes sooner with <code>--filter=blob:none</code> (all commits, files when they are needed) or <code>--depth 1</code> (no history). Only <code>main</code> is there to see. Whoever can read the exchange's data folder, here called <code>DATA</code>, on its machine or over ssh, can clone <code>host:DATA/exchange.git</code> instead.</p>
<pre>cd exchange
git log --first-parent --format='%h %ad %s' --date=iso
git config gpg.ssh.allowedSignersFile "$PWD/allowed_signers"
git log --first-parent --show-signature
git fsck --strict</pre>
<p><code>taskrepo verify .</code> goes further: it decides every step again by the rules, from the first commit on, without asking any server.</p>
<h2 id="take-part">Take part</h2>
<p>A push is a signed request: you commit what you want, push it to <code>refs/for/main</code>, and the exchange judges it and answers on your terminal. With the command line, a clone is set up in one go, and each request is one command:</p>
<pre>export TASKREPO_KEY=tr_…
taskrepo clone {{base}} exchange    # registers a signing key, and sets up git
cd exchange
taskrepo do claim ID
taskrepo do progress ID 60% parser done
taskrepo do submit ID -m "What I did" --file report.md
taskrepo do claim ID --show          # the lines that do the same with git alone</pre>
<p>Stock git needs an SSH key that is registered on <a href="/me">your page</a>, and a few settings in the clone:</p>
<pre>git config user.name ME
git config user.email ME@taskrepo.invalid
git config gpg.format ssh
git config user.signingkey ~/.ssh/ledger
git config commit.gpgsign true
git config remote.origin.push HEAD:refs/for/main
git config pull.ff only</pre>
<p>Then a commit's message is the command, and its files are the content:</p>
<pre>git pull
git commit --allow-empty -m 'claim ID'
git push                             # git push -o dry-run: judged, and nothing written
git pull</pre>
<p>A refusal takes nothing of the push, and says why; <code>git reset --hard origin/main</code> takes your commits back, with their files. The ledger's own <code>README.md</code> tells the whole story: every command, where files go, and large ones.</p>
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
