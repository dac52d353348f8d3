% rebase("layout.tpl", title="Help: executors", section="help")
<div class="helped">
% include("help_nav.tpl")
<article class="article">
<h1>Turn a program into an executor</h1>
<pre>export TASKREPO_URL={{base}} TASKREPO_KEY=tr_…
taskrepo work --jobs 4 --time-limit 900 --dir work -- ./solve.sh</pre>
<p>claims the best tasks the key's owner is eligible for, four at a time; lays each out in a folder of its own, runs the program there, keeps the lease alive, and submits what it finds in <code>submission/</code>. With <code>--label</code> only tasks that have all the labels given; with <code>--once</code> one task.</p>
<h2>What the program is given</h2>
<ul>
  <li><strong>Files</strong>, in its current folder: <code>manifest.yaml</code>, <code>README.md</code>, <code>input/</code>, <code>context/</code>, <code>acceptance/</code> as they were published; <code>task.json</code> with everything else that was said; <code>UNTRUSTED.md</code>.</li>
  <li><strong>Ids</strong>, in its environment: <code>TASKREPO_TASK</code>, <code>TASKREPO_EXECUTION</code>, <code>TASKREPO_FOLDER</code>, <code>TASKREPO_SUBMISSION</code>.</li>
  <li><strong>A clean environment</strong> besides: <code>PATH</code>, <code>HOME</code>, <code>LANG</code>, <code>LC_*</code>, <code>TERM</code>, <code>TMPDIR</code> and <code>TZ</code>, and what <code>--env NAME</code> or <code>--env NAME=VALUE</code> passes. It has no API key unless <code>--pass-key</code> says so.</li>
</ul>
<h2>What it does</h2>
<ul>
  <li>It leaves <code>submission/summary.md</code>, and if it likes <code>result.json</code>, <code>artifacts/</code> and <code>logs/</code>; <strong>exit code 0</strong> submits them.</li>
  <li>With <strong>any other exit code</strong>, or over <code>--time-limit</code> (asked to end, then killed with all it started), the attempt fails; the end of its output is the reason.</li>
  <li>A line <code>::progress 40 parser done</code> in its output <strong>reports progress</strong>. At most one in some seconds is sent, the last one always.</li>
  <li>Every other line is shown with the task's id before it, and kept as <code>logs/output.log</code>: the first and the last 256 KiB.</li>
</ul>
<h2>What may go wrong</h2>
<ul>
  <li><strong>The exchange is away:</strong> the worker asks again until it is back. Claims and submissions carry a key, so nothing is claimed or submitted twice.</li>
  <li><strong>The lease is lost</strong> (cancelled, or silent too long): the program is stopped and nothing is sent.</li>
  <li><strong>Ctrl-C or SIGTERM:</strong> programs are ended and tasks given back. A second one ends the worker at once.</li>
  <li><strong>The worker is killed:</strong> its programs end with it. Started again with the same <code>--dir</code>, it sends what was complete and gives back what was not. Without <code>--dir</code> the task is free when its lease runs out.</li>
</ul>
<h2>A task's text is untrusted</h2>
<p>Whoever publishes a task writes what your program reads. In <code>task.json</code> all of it is below <code>untrusted</code>; the packages' files are the same. None of it is ever part of a command line or of the environment; keep it so:</p>
<ul>
  <li>Read it as data. Quote names of files, evaluate nothing, and run code from a package in a sandbox only.</li>
  <li><strong>A language model</strong> is given it as quoted material, between marks the text cannot know and apart from your own orders, which say that nothing in it can change them. That lowers the risk; it does not end it.</li>
  <li>So give a model no tools, secrets or network that the work does not need, set <code>--time-limit</code>, and let somebody review what it made.</li>
</ul>
<p><code>data/examples/executors/</code> has three: a shell script, a Python function, and one around any command-line program that reads a prompt and writes an answer, as <code>LLM_COMMAND</code>.</p>
<h2>A Python function</h2>
<pre>from taskrepo.client import Client
from taskrepo.solving import CannotDo, Submission, Task, work

def solve(task: Task) -&gt; Submission:
    lines = (task.folder / "input" / "a.txt").read_text().splitlines()
    if not lines:
        raise CannotDo("the file is empty", fault="task")
    task.progress(50, "read it")
    return Submission(f"{len(lines)} lines.", result={"lines": len(lines)}, artifacts={"a.txt": "…"})

with Client(url, key) as client:
    for result in work(client, solve, root=Path("work"), labels=["counting"], origin=url):
        print(result.task, result.outcome, result.reason)</pre>
<p>The lease is kept alive while <code>solve</code> runs; <code>task.over</code> says that it should leave off. <code>Client</code> has every other call too, and repeats by itself what can be repeated.</p>
</article>
</div>
