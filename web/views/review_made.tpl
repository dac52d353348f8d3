% number = made["number"]
<section aria-labelledby="made-title" id="made" data-live>
  <h2 id="made-title">Submission {{number}}</h2>
  <p class="meta">by <a href="/actors/{{made["by"]}}">{{made["by"]}}</a>, attempt {{made["execution"]}}, {{"waiting since" if task["state"] == "submitted" else "submitted"}} {{!when(made["at"], now)}}</p>
% if earlier:
  <div class="review-earlier note">
% if earlier["review"]:
    <p><strong>Submission {{earlier["number"]}} was {{earlier["review"]["decision"]}}</strong> by {{earlier["review"]["by"]}}, {{!when(earlier["review"]["at"], now, short=True)}}:</p>
    <div class="prose">{{!markdown(earlier["reason"])}}</div>
% else:
    <p><strong>Submission {{earlier["number"]}}</strong> was not judged.</p>
% end
    <p><a href="/tasks/{{task["id"]}}/submissions/{{number - 1}}/compare/{{number}}">Compare with submission {{number - 1}}</a></p>
  </div>
% end
  <div class="prose">{{!markdown(made["summary"])}}</div>
% if made["files"]:
  <h3>Files</h3>
  <div id="made-files">
% include("files.tpl", files=made["files"][:most_files])
  </div>
% if len(made["files"]) > most_files:
  <p class="meta">{{len(made["files"]) - most_files}} more are on <a href="/tasks/{{task["id"]}}#submissions">the task's page</a>.</p>
% end
% if not task["erased_at"]:
% where = f"/tasks/{task['id']}/submissions/{number}/archive"
  <p class="meta">Download all with the summary: <a href="{{where}}.zip" download>.zip</a> <a href="{{where}}.tar.gz" download>.tar.gz</a></p>
% end
% end
% if made["result"]:
  <details class="review-result" id="made-result" open><summary>result.json</summary><pre tabindex="0" role="region" aria-label="result.json">{{made["result"]}}</pre></details>
% end
</section>
