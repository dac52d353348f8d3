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
<p><code>taskrepo verify</code> goes further: it decides every step again by the rules, without asking any server, and notices if the history was rewritten. How to <a href="/help/audit">audit</a> it all, what that proves and what it cannot, is a page of its own.</p>
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
git config push.negotiate true       # send only what is new, also when others have written meanwhile
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
<p><code>allowed_signers</code> in the repository is the list that <code>ssh-keygen</code> and git use: each key with the actor it belongs to and the time until which it counts. Register your own on <a href="/me#ssh">your page</a> or with <code>taskrepo ssh-key add</code>; <code>ssh-keygen -t ed25519</code> makes one.</p>
<p>Retire a key that you no longer use: what it signed stays good. Revoke one that somebody else may have, with the moment from which it is not to be trusted. What it signed since then stays in the ledger and verifies by its place, but is marked on these pages, and <code>git log --show-signature</code> warns of commits dated later. No key that was registered once can be registered again.</p>
<h2 id="large">Large files</h2>
<p>Files of {{exact["large_file_bytes"]}} and more are not in git. Where they belong, git has a small <em>pointer</em> with their SHA-256, and the program git-lfs puts the content there, with the same key as git. Install it once on each machine; from then on a clone brings the large files by itself.</p>
<pre id="lfs">git lfs install
GIT_LFS_SKIP_SMUDGE=1 git clone {{base}}/git/exchange.git exchange    # pointers only, and then what is wanted:
git lfs pull --include 'tasks/4/k/7/4k7q2m9x/**'
git config lfs.url {{base}}/git/exchange.git/info/lfs    # only in a clone by path or over ssh
git config lfs.{{base}}/git/exchange.git/info/lfs.locksverify true    # heed others' locks at each push</pre>
<p>Files of a private task come as ciphertext, which git cannot open; its readers download them here. What was erased is gone.</p>
<p>To submit a large file, let git-lfs track it in the submission's folder, and commit as always. <code>git push</code> first sends its content, which is yours alone until the push is accepted and uses it up, or until it has waited for {{span(policy.upload_seconds)}}. A file may have {{exact["max_file_bytes"]}}.</p>
<pre>cd tasks/4/k/7/4k7q2m9x/submissions/1
git lfs track --filename artifacts/model.bin
git add .gitattributes artifacts/model.bin
git lfs push --object-id origin SHA256    # only for content that the ledger has already: git-lfs does not send it by itself</pre>
<p>After a push, <code>git pull</code> before the next one, or git-lfs sends the same content again. <code>git lfs lock PATH</code> tells others that you are at work on a file: their git-lfs then does not push it. Who may bring a file may lock it; a lock ends with <code>git lfs unlock PATH</code>, by an admin's <code>--force</code>, or after a month.</p>
</article>
</div>
