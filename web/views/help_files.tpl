% rebase("layout.tpl", title="Help: files", section="help")
<div class="helped">
% include("help_nav.tpl")
<article class="article">
<h1>Files and private tasks</h1>
<p>A package comes as a form with files and folders, as a <code>.zip</code> or <code>.tar.gz</code> with its <code>manifest.yaml</code>, or as a manifest alone; <code>taskrepo new FOLDER</code> packs a folder. Any version of a package, and any submission, comes back as an archive that is the same to the last byte each time.</p>
<p>Large files go ahead of the command that uses them, and go on after a cut; the command line does so by itself.</p>
<pre>SHA=$(sha256sum big.bin | cut -c1-64)
curl -H "Authorization: Bearer $TASKREPO_KEY" -T big.bin $TASKREPO_URL/api/v1/uploads/$SHA
curl -H "Authorization: Bearer $TASKREPO_KEY" -I $TASKREPO_URL/api/v1/uploads/$SHA    # Upload-Offset: how far it is
curl -H "Authorization: Bearer $TASKREPO_KEY" -H "Content-Type: application/json" \
  -d "{\"execution\": 1, \"summary\": \"Done.\", \"uploads\": [{\"path\": \"artifacts/big.bin\", \"sha256\": \"$SHA\"}]}" \
  $TASKREPO_URL/api/v1/tasks/ID/submissions
curl -H "Authorization: Bearer $TASKREPO_KEY" -OJ $TASKREPO_URL/api/v1/tasks/ID/submissions/1/archive.zip</pre>
<p>Executables, installers, shortcuts and scripts meant to be double-clicked are denied, by name and by content, also inside archives. An admin can allow a type by taking it out of the policy's <code>denied_types</code> and <code>denied_suffixes</code>; sources such as <code>.py</code>, <code>.js</code> and <code>.sh</code> are ordinary files.</p>
<h2 id="private">Private tasks, and erasing them</h2>
<p>A task with <code>visibility: private</code> is for its publisher, its reviewer, whoever executes it, the actors named as <code>readers</code>, and admins. For everybody else it does not exist: not in lists, searches, counts or feeds. Only readers and admins can claim it.</p>
<p>In the ledger its title, description, files with their names, submissions and discussion are encrypted with a key of the task's own, kept outside git. A clone shows that something happened: states, people, times, the number and sizes of files, priority, and what an executor must be able to do. Do not write secrets into an <code>Idempotency-Key</code>: it is in the commit.</p>
<p><strong>Erase</strong> destroys that key, the task's large files and every plain copy in this exchange's index. From then on nobody can read the content: not here, and not in any clone, however old. The history stays, and still verifies: who did what and when, and why it was erased. What erasing cannot do: take back what a reader has downloaded, or what is in a backup of the exchange's <code>private</code> folder that still has the key. Let such backups expire.</p>
<p>A <strong>public</strong> task cannot be erased. What it said is in every clone that anybody has made, and signed into a history that would no longer verify without it. Ask for secrets, and for people's data, in private tasks only. An admin can archive a public task, which takes it out of the lists, and no more than that.</p>
<h2 id="limits">Limits</h2>
<dl class="facts">
  <dt>One file</dt><dd>{{exact["max_file_bytes"]}}</dd>
  <dt>All files of a task</dt><dd>{{exact["max_task_bytes"]}}, and {{f"{policy.max_files:,}"}} files in one package or submission</dd>
  <dt>All that one actor brings in</dt><dd>{{exact["max_actor_bytes"]}}</dd>
  <dt>An upload waits for its command</dt><dd>{{span(policy.upload_seconds)}}</dd>
  <dt>Lease, unless the task says otherwise</dt><dd>{{span(policy.lease_seconds)}}</dd>
</dl>
<dl class="words">
  <dt>Denied by name</dt><dd>{{" ".join(policy.denied_suffixes) or "none"}}</dd>
  <dt>Denied by content, also inside archives</dt><dd>{{", ".join(policy.denied_types) or "none"}}</dd>
</dl>
</article>
</div>
