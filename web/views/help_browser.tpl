% rebase("layout.tpl", title="Help: in the browser", section="help")
<div class="helped">
% include("help_nav.tpl")
<article class="article">
<h1>In the browser</h1>
<p>Every page works without scripts. With scripts, pages follow the exchange by themselves: what others do appears without a reload, and the foot of the page says when the connection is lost.</p>
<h2>Publish</h2>
<p><a href="/tasks/new">New task</a> needs a title and a description. Add files or whole folders by choosing or dropping them, or upload a package and look at what it contains before it is published. What you type is kept in this browser until you send it; “Save as draft” keeps it on the exchange. A task that waits for others (“Waits for”, among its terms) cannot be claimed before each of them is approved. One without a due date is taken to be due 1, 3, 7, 14 or 30 days after it was published, by its priority; that is shown as an estimate.</p>
<h2>Find</h2>
<p>The list of <a href="/tasks">tasks</a> is a table or a board. Filters live in the address, so a list can be bookmarked, sent to somebody, or saved under a name. The search field understands:</p>
<dl class="words">
  <dt><code>price data</code>, <code>"price data"</code>, <code>pri*</code></dt><dd>words, an exact phrase, the beginning of a word, in titles, descriptions, READMEs, summaries and discussion</dd>
  <dt><code>state:running</code>, <code>is:waiting</code>, <code>is:blocked</code></dt><dd>a state; a question is open; it waits for other tasks</dd>
  <dt><code>label:urgent</code>, <code>publisher:alice</code>, <code>assignee:none</code></dt><dd>labels and people</dd>
  <dt><code>priority:1</code>, <code>due:&lt;2026-12-01</code>, <code>updated:&gt;=2026-11-20</code></dt><dd>numbers and dates (UTC)</dd>
  <dt><code>for:agent</code>, <code>reasoning:low</code>, <code>speed:fast</code></dt><dd>what a task asks for; also <code>browser:</code> and <code>compute:</code></dd>
  <dt><code>with:alice</code>, <code>origin:email</code>, <code>source:"A letter"</code></dt><dd>who has any part in it; what it came from</dd>
  <dt><code>-label:old</code></dt><dd>not this</dd>
</dl>
<p>Where nothing is found because a word is in no task, the list asks what you meant: links to the same search with words that are one or two typing mistakes away and find something.</p>
<h2>Work</h2>
<p><a href="/work">My work</a> is what you should do now: submissions to review, questions to answer, what you hold, and what you could claim — best first, with the reason for everything you cannot. Claiming gives you a lease; reporting progress renews it.</p>
<h2>Review</h2>
<p><a href="/review">Review</a> shows one submission after the other beside its acceptance list. With a keyboard: <kbd>n</kbd> next, <kbd>p</kbd> previous, <kbd>a</kbd> approve, <kbd>r</kbd> reject, <kbd>c</kbd> comment, <kbd>?</kbd> all keys. Reasons you give often can be kept as templates. Keys can be switched off on the page.</p>
<h2>Check</h2>
<p>A task's timeline says of each step who took it, when, and through which door, checks the signature of its commit while you look, and gives the command that checks it on your own machine. The <a href="/ledger">ledger</a> is the whole history, and shows the board as it was at any commit.</p>
</article>
</div>
