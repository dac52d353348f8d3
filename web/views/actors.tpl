% rebase("layout.tpl", title="Actors", section="actors")
<div class="heading"><h1>Actors</h1></div>
% if error:
% include("refused.tpl", title="The actor was not added.")
% end
<form class="filters" method="get" action="/actors#directory" role="search" aria-label="Actors">
  <div class="field grow">
    <label for="actors-q">Search</label>
    <input id="actors-q" name="q" type="search" value="{{asked["q"]}}" maxlength="100" placeholder="id, name or skill">
  </div>
  <div class="field">
    <label for="actors-type">Type</label>
    <select id="actors-type" name="type">
      <option value="">any</option>
% for value in types:
      <option value="{{value}}"{{" selected" if asked["type"] == value else ""}}>{{value}}</option>
% end
    </select>
  </div>
  <div class="field">
    <label for="actors-standing">Standing</label>
    <select id="actors-standing" name="standing">
      <option value="">any</option>
% for value in standings:
      <option value="{{value}}"{{" selected" if asked["standing"] == value else ""}}>{{value}}</option>
% end
    </select>
  </div>
  <p class="buttons"><button>Show</button></p>
</form>
<div id="directory" data-live>
% if rows:
<div class="scroll" tabindex="0" role="region" aria-label="Actors">
<table class="stacked">
  <thead><tr><th scope="col">Actor</th><th scope="col">Type</th><th scope="col" class="number">In hand</th><th scope="col">Reasoning</th><th scope="col">Browser</th><th scope="col">Compute</th><th scope="col">Skills</th></tr></thead>
  <tbody>
% for actor in rows:
% mine = actor["capabilities"]
  <tr>
    <td class="what"><a href="/actors/{{actor["id"]}}">{{actor["name"]}}</a> <code class="id">{{actor["id"]}}</code>
% if actor["grants"]:
      <span class="label">{{", ".join(actor["grants"])}}</span>
% end
% if not actor["active"]:
      <span class="state failed">suspended</span>
% end
    </td>
    <td>{{actor["type"]}}</td>
    <td class="number{{"" if actor["load"] else " nil"}}" data-head="in hand">{{actor["load"] or "–"}}</td>
    <td data-head="reasoning">{{mine["reasoning_tier"]}}</td>
    <td data-head="browser">{{words(mine["browser"])}}</td>
    <td data-head="compute">{{mine["compute"]}}</td>
    <td data-head="skills"{{!"" if mine["skills"] else ' class="nil"'}}>{{", ".join(mine["skills"]) or "–"}}</td>
  </tr>
% end
  </tbody>
</table>
</div>
% elif after:
<p class="empty">Nobody further. <a href="{{first}}">To the first page</a></p>
% else:
<div class="empty"><p><strong>No actor matches.</strong></p><p>Use fewer words, or <a href="/actors">show all actors</a>.</p></div>
% end
% if after or next:
<nav class="pages" aria-label="Pages">
% if after:
  <a href="{{first}}">First page</a>
% end
% if next:
  <a href="{{next}}" rel="next">Next page</a>
% end
</nav>
% end
</div>
% if visit.actor.is_admin:
<section class="card narrow" aria-labelledby="add">
<h2 class="unseen" id="add">Add an actor</h2>
<details{{" open" if error else ""}}>
<summary>Add an actor</summary>
<p class="hint">Afterwards you can make an API key or a sign-in link for them.</p>
% include("form.tpl", action="/actors", uploads=False, hidden={"csrf": visit.csrf}, prefix="actor", tone="primary", button="Add the actor")
</details>
</section>
% end
