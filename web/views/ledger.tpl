% rebase("layout.tpl", title="Ledger", section="ledger")
<div class="heading">
  <h1>Ledger</h1>
  <p class="meta">Every step of every task and every change of the directory is one signed git commit. Newest first.</p>
</div>
% include("ledger_standing.tpl")
<form class="filters chooser" method="get" action="/ledger" role="search" aria-label="The history">
  <div class="field">
    <label for="actor">Actor</label>
    <input id="actor" name="actor" value="{{asked["actor"]}}" maxlength="40" autocapitalize="none" spellcheck="false"{{!' aria-invalid="true" aria-describedby="wrong"' if wrong == "actor" else ""}}>
  </div>
  <div class="field">
    <label for="event">Event</label>
    <select id="event" name="event">
      <option value="">any</option>
% for name in events:
      <option value="{{name}}"{{" selected" if asked["event"] == name else ""}}>{{words(name)}}</option>
% end
    </select>
  </div>
  <div class="field">
    <label for="task">Task</label>
    <input id="task" name="task" value="{{asked["task"]}}" maxlength="40" placeholder="id" autocapitalize="none" spellcheck="false"{{!' aria-invalid="true" aria-describedby="wrong"' if wrong == "task" else ""}}>
  </div>
  <div class="field">
    <label for="door">Door</label>
    <select id="door" name="door">
      <option value="">any</option>
% for name in doors:
      <option value="{{name}}"{{" selected" if asked["door"] == name else ""}}>{{name}}</option>
% end
    </select>
  </div>
  <div class="field">
    <label for="since">From</label>
    <input id="since" name="since" type="date" value="{{asked["since"]}}"{{!' aria-invalid="true" aria-describedby="wrong"' if wrong == "since" else ""}}>
  </div>
  <div class="field">
    <label for="until">To</label>
    <input id="until" name="until" type="date" value="{{asked["until"]}}"{{!' aria-invalid="true" aria-describedby="wrong"' if wrong == "until" else ""}}>
  </div>
  <p class="buttons"><button>Show</button>\\
% if filtered:
 <a href="/ledger">Everything</a>\\
% end
</p>
</form>
<form class="travel" method="get" action="/ledger">
  <label for="at">The board as of</label>
  <input id="at" name="at" value="{{at}}" required maxlength="40" placeholder="2026-11-03 or a commit" autocapitalize="none" spellcheck="false"{{!' aria-invalid="true" aria-describedby="wrong"' if wrong == "at" else ""}}>
  <button>Go there</button>
</form>
% if error:
% label = {"actor": "Actor", "event": "Event", "task": "Task", "door": "Door", "since": "From", "until": "To", "at": "The board as of"}.get(wrong, "")
<p class="note bad" id="wrong" role="alert">{{f"{label}: {error.message.removeprefix(f'{wrong}: ').removeprefix('id: ')}" if label else error.message}}</p>
% end
<section id="history" aria-label="History"{{!' data-live' if first else ''}}>
% if rows:
<table class="ledger stacked">
  <caption class="unseen">Events, newest first</caption>
  <thead><tr><th scope="col">Commit</th><th scope="col">When</th><th scope="col">Event</th><th scope="col">About</th><th scope="col">Actor</th><th scope="col">Door</th><th scope="col">Signed</th></tr></thead>
  <tbody>
% for row in rows:
  <tr>
    <td class="commit"><a class="id" href="/ledger/{{row["commit"]}}" title="{{row["commit"]}}">{{row["commit"][:12]}}</a></td>
    <td class="at">{{!when(row["at"], now, short=True)}}</td>
    <td class="event">{{words(row["event"])}}</td>
    <td class="about">\\
% if row["task"]:
<a href="/tasks/{{row["task"]}}">{{row["title"] or row["task"]}}</a> <code class="id">{{row["task"]}}</code>\\
% else:
<code>{{row["record"]}}</code>\\
% end
</td>
    <td class="actor"><a href="/actors/{{row["actor"]}}">{{row["actor"]}}</a></td>
    <td class="door">{{row["via"]}}</td>
    <td class="signed">{{row["signature"]}}</td>
  </tr>
% end
  </tbody>
</table>
% elif not error and not stretch.cut:
<div class="empty">
  <p><strong>No event is like that.</strong></p>
  <p>Leave one of the filters out, or <a href="/ledger">show everything</a>.</p>
</div>
% end
% if stretch.cut:
<p class="note">Looked at {{f"{stretch.looked:,}"}} events and found {{len(rows) or "none"}} that {{"fits" if len(rows) == 1 else "fit"}}. \\
% if stretch.older and not stretch.newer or stretch.older and first:
<a href="{{address(before=stretch.older)}}">Continue with older ones</a>\\
% elif not stretch.older:
Choose an earlier date to look further back.\\
% end
</p>
% end
</section>
% if stretch.older or stretch.newer or not first:
<nav class="pages" aria-label="Pages of the history">
% if not first:
  <a href="{{address()}}">Newest</a>
% end
% if stretch.newer:
  <a href="{{address(after=stretch.newer)}}" rel="prev">Newer</a>
% end
% if stretch.older:
  <a href="{{address(before=stretch.older)}}" rel="next">Older</a>
% end
</nav>
% end
<section class="card clone" aria-labelledby="clone">
<h2 id="clone">Check it yourself</h2>
<p>The ledger is an ordinary git repository. Clone it, and check every signature and every step without trusting this server.</p>
% include("ledger_commands.tpl", commands=[f"git clone {repository or 'DATA/exchange.git'} ledger", "git -C ledger log --first-parent --format='%h %an: %s'", "git -C ledger -c gpg.ssh.allowedSignersFile=\"$PWD/ledger/allowed_signers\" verify-commit HEAD", "taskrepo verify ledger"])
% if repository:
<p class="hint">On this server the repository is the folder above; from another machine, clone it over ssh: <code>ssh://SERVER{{repository}}</code>.</p>
% else:
<p class="hint"><code>DATA</code> is the exchange's data folder on its server, which an admin can name; from another machine, clone <code>ssh://SERVER/DATA/exchange.git</code> with an account there.</p>
% end
<p class="hint"><code>git verify-commit</code> checks one signature; <code>taskrepo verify</code> decides every commit again by the rules. What private tasks say is encrypted in every clone.</p>
</section>
