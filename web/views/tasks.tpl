% rebase("layout.tpl", title="Tasks")
<div class="heading">
  <h1>Tasks</h1>
  <a class="button primary" href="/tasks/new">New task</a>
</div>
<nav class="tabs" aria-label="By state">
% bare = {**asked, "state": ""}
  <a href="{{address(bare)}}"{{!' aria-current="page"' if not asked["state"] else ''}}>live</a>
% for state in states:
% if counts[state] or asked["state"] == state:
  <a href="{{address({**asked, "state": state})}}"{{!' aria-current="page"' if asked["state"] == state else ''}}>{{state}} <span class="count">{{counts[state]}}</span></a>
% end
% end
</nav>
<form class="filters" method="get" action="/tasks" role="search">
% if asked["state"]:
  <input type="hidden" name="state" value="{{asked["state"]}}">
% end
  <div class="field grow">
    <label for="q">Search</label>
    <input id="q" name="q" type="search" value="{{asked["q"]}}" maxlength="500" placeholder="words, label:data, due:<2026-12-01"\\
% if error:
 aria-invalid="true" aria-describedby="q-error"\\
% end
>
  </div>
  <div class="field">
    <label for="mine">Whose</label>
    <select id="mine" name="mine">
      <option value="">everybody's</option>
% for value, label in mine.items():
      <option value="{{value}}"{{" selected" if asked["mine"] == value else ""}}>{{label}}</option>
% end
    </select>
  </div>
  <div class="field">
    <label for="sort">Order</label>
    <select id="sort" name="sort">
% for value, label in sorts.items():
      <option value="{{value}}"{{" selected" if asked["sort"] == value else ""}}>{{label}}</option>
% end
    </select>
  </div>
  <p class="buttons"><button>Show</button></p>
</form>
% if error:
<p class="note bad" id="q-error" role="alert">{{error.message.removeprefix("q: ")}}</p>
% elif rows:
<p class="meta">{{total}} {{"task" if total == 1 else "tasks"}}{{", continued" if later else ""}}\\
% if archived:
; <a href="{{address({**asked, "state": "archived"})}}">{{archived}} archived</a> left out\\
% end
</p>
<div class="scroll">
<table class="tasks">
  <thead><tr><th scope="col">Task</th><th scope="col">State</th><th scope="col">Publisher</th><th scope="col">Assignee</th><th scope="col">Due</th><th scope="col">Updated</th></tr></thead>
  <tbody>
% for row in rows:
  <tr>
    <td class="what"><a href="/tasks/{{row["id"]}}">{{row["title"]}}</a> <code class="id">{{row["id"]}}</code>
% if row["visibility"] == "private":
      <span class="label private">private</span>
% end
% for label in row["labels"]:
      <span class="label">{{label}}</span>
% end
    </td>
    <td data-label="State">\\
% include("state.tpl", state=row["state"])
% if row["waiting"]:
 <span class="state waiting">question</span>\\
% end
</td>
    <td data-label="Publisher"><a href="/actors/{{row["publisher"]}}">{{row["publisher"]}}</a></td>
    <td data-label="Assignee"{{!'' if row["assignee"] else ' class="none"'}}>\\
% if row["assignee"]:
<a href="/actors/{{row["assignee"]}}">{{row["assignee"]}}</a>\\
% else:
–\\
% end
</td>
    <td data-label="Due"{{!'' if row["due_at"] else ' class="none"'}}>{{!when(row["due_at"], now, short=True)}}</td>
    <td data-label="Updated">{{!when(row["updated_at"], now, short=True)}}</td>
  </tr>
% end
  </tbody>
</table>
</div>
% elif archived and (asked["q"] or asked["mine"]):
<div class="empty">
  <p><strong>No live task matches.</strong></p>
  <p><a href="{{address({**asked, "state": "archived"})}}">{{archived}} archived {{"task does" if archived == 1 else "tasks do"}}</a>.</p>
</div>
% elif asked["q"] or asked["state"] or asked["mine"]:
<div class="empty">
  <p><strong>No task matches.</strong></p>
  <p>Use fewer words, or <a href="/tasks">show all tasks</a>.</p>
</div>
% elif counts["archived"]:
<div class="empty">
  <p><strong>No task is live.</strong></p>
  <p><a href="/tasks/new">Publish a new one</a>, or look at <a href="/tasks?state=archived">what is archived</a>.</p>
</div>
% else:
<div class="empty">
  <p><strong>There are no tasks yet.</strong></p>
  <p><a href="/tasks/new">Publish the first one</a>: a title and a few lines are enough. Whoever is eligible can then claim it here, or through <a href="/help">the API</a>.</p>
</div>
% end
% if later or next:
<nav class="pages" aria-label="Pages">
% if later:
  <a href="{{address(asked)}}">First page</a>
% end
% if next:
  <a href="{{next}}" rel="next">Next page</a>
% end
</nav>
% end
