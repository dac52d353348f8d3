% rebase("layout.tpl", title=f"Versions of {task.manifest.title}", section="tasks")
<p class="crumb"><a href="/tasks">Tasks</a> › <a href="/tasks/{{task.id}}">{{task.manifest.title}}</a></p>
<div class="heading"><h1>Versions</h1></div>
% if len(choices) > 1:
<form class="filters" method="get" action="/tasks/{{task.id}}/compare" aria-label="Compare two versions">
  <div class="field"><label for="old">Before</label>
    <select id="old" name="old">
% for number in choices:
      <option value="{{number}}"{{" selected" if number == choices[1] else ""}}>Version {{number}}</option>
% end
    </select></div>
  <div class="field"><label for="new">After</label>
    <select id="new" name="new">
% for number in choices:
      <option value="{{number}}"{{" selected" if number == choices[0] else ""}}>Version {{number}}</option>
% end
    </select></div>
  <div class="buttons"><button>Compare</button></div>
</form>
% end
<div class="scroll" tabindex="0" role="region" aria-label="Versions">
<table class="stacked">
  <thead><tr><th scope="col">Version</th><th scope="col">Made</th><th scope="col">By</th><th scope="col">Commit</th><th scope="col">Download</th></tr></thead>
  <tbody>
% for made in found["versions"]:
  <tr>
    <td class="what"><a href="{{made["href"]}}">{{made["number"]}}: {{made["title"]}}</a>
% if made["number"] == found["current"]:
      <span class="label">current</span>
% end
    </td>
    <td>{{words(made["event"])}} {{!when(made["at"], now)}}\\
% if made["number"] > 1:
<br><a href="/tasks/{{task.id}}/versions/{{made["number"] - 1}}/compare/{{made["number"]}}">what changed</a>\\
% end
</td>
    <td data-head="by"><a href="/actors/{{made["by"]}}">{{made["by"]}}</a></td>
    <td data-head="commit"><a class="id" href="/ledger/{{made["commit"]}}" title="{{made["commit"]}}">{{made["commit"][:12]}}</a></td>
    <td>\\
% for kind, address in made["archives"].items():
<a href="{{address}}" download>.{{kind}}</a> \\
% end
</td>
  </tr>
% end
  </tbody>
</table>
</div>
% if later or found["next"]:
<nav class="pages" aria-label="More versions">
% if later:
<a href="/tasks/{{task.id}}/versions">Newest versions</a>
% end
% if found["next"]:
<a href="/tasks/{{task.id}}/versions?before={{found["next"]}}">Earlier versions</a>
% end
</nav>
% end
