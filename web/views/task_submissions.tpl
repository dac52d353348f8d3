<div id="live-submissions" data-live>
% if submissions:
<section aria-labelledby="submissions">
<h2 id="submissions">Submissions <span class="count">{{len(task["submissions"])}}</span></h2>
% for made in submissions:
% review, number = made["review"], made["number"]
<article class="card submission" id="submission-{{number}}">
  <h3>Submission {{number}} <span class="meta">by <a href="/actors/{{made["by"]}}">{{made["by"]}}</a>, attempt {{made["execution"]}}, {{!when(made["at"], now, short=True)}}</span></h3>
% if review:
  <div class="note {{'good' if review['decision'] == 'approved' else 'bad'}}">
    <p><strong>{{review["decision"].capitalize()}}</strong> by <a href="/actors/{{review["by"]}}">{{review["by"]}}</a>, {{!when(review["at"], now, short=True)}}</p>
% if made["reason"]:
    <div class="prose">{{!markdown(made["reason"])}}</div>
% end
  </div>
% elif task["state"] == "submitted" and number == len(task["submissions"]):
  <p class="note warn"><strong>Waits for a review</strong> by {{task["reviewer"]}} since {{!when(made["at"], now)}}.</p>
% end
  <div class="prose">{{!markdown(made["summary"])}}</div>
% if made["files"]:
% include("files.tpl", files=made["files"])
% end
% if made["result"]:
  <details id="result-{{number}}"><summary>result.json</summary><pre class="json" tabindex="0">{{made["result"]}}</pre></details>
% end
% place = f"/tasks/{task['id']}/submissions/{number}"
% if not task.get("erased_at") and (made["files"] or number > 1):
  <p class="meta">\\
% if made["files"]:
Download all with the summary: <a href="{{place}}/archive.zip" download>.zip</a> <a href="{{place}}/archive.tar.gz" download>.tar.gz</a>\\
% end
% if number > 1:
{{" · " if made["files"] else ""}}<a href="/tasks/{{task["id"]}}/submissions/{{number - 1}}/compare/{{number}}">Compare with submission {{number - 1}}</a>\\
% end
</p>
% end
</article>
% end
</section>
% end
</div>
