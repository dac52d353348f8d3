% rebase("layout.tpl", title=f"Versions of {task.manifest.title}", section="tasks")
<p class="crumb"><a href="/tasks">Tasks</a> › <a href="/tasks/{{task.id}}">{{task.manifest.title}}</a></p>
<h1>Versions</h1>
% if len(choices) > 1:
<form class="filters" method="get" action="/tasks/{{task.id}}/compare">
  <div class="field"><label for="old">From version</label>
    <select id="old" name="old">
% for number in choices:
      <option value="{{number}}"{{" selected" if number == choices[1] else ""}}>{{number}}</option>
% end
    </select></div>
  <div class="field"><label for="new">to version</label>
    <select id="new" name="new">
% for number in choices:
      <option value="{{number}}"{{" selected" if number == choices[0] else ""}}>{{number}}</option>
% end
    </select></div>
  <div class="buttons"><button>Compare</button></div>
</form>
% end
<div class="scroll">
<table class="tasks">
  <thead><tr><th scope="col">Version</th><th scope="col">Made</th><th scope="col">By</th><th scope="col">Commit</th><th scope="col">Download</th></tr></thead>
  <tbody>
% for made in found["versions"]:
  <tr>
    <td class="what"><a href="{{made["href"]}}">{{made["number"]}}</a> {{made["title"]}}
% if made["number"] == found["current"]:
      <span class="label">current</span>
% end
    </td>
    <td data-label="Made">{{words(made["event"])}} {{!when(made["at"], now)}}\\
% if made["number"] > 1:
<br><a href="/tasks/{{task.id}}/versions/{{made["number"] - 1}}/compare/{{made["number"]}}">what changed</a>\\
% end
</td>
    <td data-label="By"><a href="/actors/{{made["by"]}}">{{made["by"]}}</a></td>
    <td data-label="Commit"><code title="{{made["commit"]}}">{{made["commit"][:12]}}</code></td>
    <td data-label="Download">\\
% for kind, address in made["archives"].items():
<a href="{{address}}" download>.{{kind}}</a> \\
% end
</td>
  </tr>
% end
  </tbody>
</table>
</div>
<p class="pages">
% if later:
<a href="/tasks/{{task.id}}/versions">Newest versions</a>
% end
% if found["next"]:
<a href="/tasks/{{task.id}}/versions?before={{found["next"]}}">Earlier versions</a>
% end
</p>
