% rebase("layout.tpl", title="Actors")
<h1>Actors</h1>
% include("refused.tpl", title="The actor was not added.")
<div class="scroll">
<table class="tasks">
  <thead><tr><th scope="col">Actor</th><th scope="col">Type</th><th scope="col">Reasoning</th><th scope="col">Browser</th><th scope="col">Compute</th><th scope="col">Skills</th></tr></thead>
  <tbody>
% for actor in actors:
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
    <td data-label="Type">{{actor["type"]}}</td>
    <td data-label="Reasoning">{{mine["reasoning_tier"]}}</td>
    <td data-label="Browser">{{words(mine["browser"])}}</td>
    <td data-label="Compute">{{mine["compute"]}}</td>
    <td data-label="Skills">{{", ".join(mine["skills"]) or "–"}}</td>
  </tr>
% end
  </tbody>
</table>
</div>
% if not actors:
<p class="empty">Nobody further. <a href="/actors">To the first page</a></p>
% end
% if after or next:
<nav class="pages" aria-label="Pages">
% if after:
  <a href="/actors">First page</a>
% end
% if next:
  <a href="/actors?after={{next}}" rel="next">Next page</a>
% end
</nav>
% end
% if visit.actor.is_admin:
<section class="card narrow" aria-labelledby="add">
<h2 id="add">Add an actor</h2>
<p class="hint">Afterwards you can make an API key or a sign-in link for them.</p>
% include("form.tpl", action="/actors", uploads=False, hidden={"csrf": visit.csrf}, prefix="actor", tone="primary", button="Add the actor")
</section>
% end
