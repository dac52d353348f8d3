<div id="live-attempts" data-live>
% if attempts:
<section aria-labelledby="attempts">
<h2 id="attempts">Attempts <span class="count">{{len(attempts)}}</span></h2>
<div class="scroll" tabindex="0" role="region" aria-label="Attempts">
<table class="attempts stacked">
  <thead><tr><th scope="col">No.</th><th scope="col">Who</th><th scope="col">Version</th><th scope="col">Outcome</th><th scope="col">Claimed</th><th scope="col">Took</th><th scope="col">What was said</th></tr></thead>
  <tbody>
% for run in attempts:
  <tr>
    <th scope="row">{{run["number"]}}</th>
    <td><a href="/actors/{{run["actor"]}}">{{run["actor"]}}</a></td>
    <td data-head="version"><a href="/tasks/{{task["id"]}}/versions/{{run["version"]}}">{{run["version"]}}</a></td>
    <td><span class="outcome {{run["outcome"].replace(" ", "-")}}">{{run["outcome"]}}</span>\\
% if run["fault"]:
 <span class="meta">fault: {{run["fault"]}}</span>\\
% end
% if run["active"] and run["percent"] is not None:
 <span class="meta">{{run["percent"]}}%</span>\\
% end
</td>
    <td data-head="claimed">{{!when(run["claimed_at"], now, short=True)}}</td>
    <td data-head="took">{{run["length"]}}{{" so far" if run["active"] else ""}}</td>
    <td class="said">\\
% if run["submissions"]:
<span class="meta">Submission\\
% for number in run["submissions"]:
 <a href="#submission-{{number}}">{{number}}</a>\\
% end
.</span> \\
% end
{{run["reason"] or run["note"]}}</td>
  </tr>
% end
  </tbody>
</table>
</div>
</section>
% end
</div>
