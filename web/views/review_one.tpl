% manifest = task["manifest"]
% rebase("layout.tpl", title=f"Review: {task['title']}", section="work")
% include("review_after.tpl", after=after)
% if done:
<p class="note good" role="status">{{done}}</p>
% end
% if attempt.error:
% include("refused.tpl", title=failed, error=attempt.error, files=actions[attempt.command].uploads, mistakes=attempt.mistakes(offered))
% end
% for at, text in enumerate(attempt.lost(offered)):
<div class="field">
  <label for="lost-{{at}}">What you typed, to copy</label>
  <textarea id="lost-{{at}}" readonly rows="4">
{{text}}</textarea>
</div>
% end
<p class="crumb"><a href="/work">My work</a> › <a href="/review">Review</a></p>
<div class="heading review-head">
  <h1><a href="/tasks/{{task["id"]}}">{{task["title"]}}</a></h1>
  <p class="tags"><code class="id">{{task["id"]}}</code>\\
% if due[1]:
 <span class="due {{due[0]}}">{{due[1]}}</span>\\
% end
% if task["priority"] != 3:
 <span class="label">priority {{task["priority"]}}</span>\\
% end
% if task["visibility"] == "private":
 <span class="label private">private</span>\\
% end
% for label in task["labels"]:
 <span class="label">{{label}}</span>\\
% end
</p>
</div>
<div id="standing" data-live>
% if not may:
% include("review_standing.tpl", task=task, made=made, next=place.next)
% end
</div>
<div class="review">
<section class="review-list" aria-labelledby="criteria">
  <h2 id="criteria">Acceptance</h2>
% if manifest.get("acceptance"):
  <ul class="review-checks" data-checks="{{task["id"]}}/{{made["number"] if made else 0}}">
% for at, item in enumerate(manifest["acceptance"]):
    <li><label for="check-{{at}}"><input id="check-{{at}}" type="checkbox" autocomplete="off"> <span>\\
% if not isinstance(item, str):
<strong>{{item["id"]}}</strong> \\
% end
{{!inline(item if isinstance(item, str) else item["text"])}}</span></label></li>
% end
  </ul>
  <p class="hint">The ticks are for you alone; they are not recorded.</p>
% else:
  <p class="meta">The task lists no criteria. Its description says what is wanted.</p>
% end
% include("review_work.tpl", task=task, manifest=manifest)
</section>
<div class="review-made">
% if made:
% include("review_made.tpl", task=task, made=made, earlier=earlier, most_files=most_files)
% end
<section aria-labelledby="said-title" id="said-here" data-live>
  <h2 id="said-title">Discussion <span class="count">{{task["discussion"]}}</span></h2>
% if remarks and remarks[0]["number"] > 1:
  <p class="meta">The latest are shown; <a href="/tasks/{{task["id"]}}#discussion">all of it</a> is on the task's page.</p>
% end
% for remark in remarks:
  <article class="remark {{remark["kind"]}}">
    <h3><a href="/actors/{{remark["by"]}}">{{remark["by"]}}</a> <span class="meta">{{remark["kind"]}}, {{!when(remark["at"], now, short=True)}}</span></h3>
    <div class="prose">{{!markdown(remark["text"])}}</div>
% if remark["files"]:
% include("files.tpl", files=remark["files"])
% end
  </article>
% end
% if not remarks:
  <p class="meta">Nothing has been said yet.</p>
% end
</section>
% if listed:
<details class="review-queue" id="queue-list">
  <summary>All that wait for you</summary>
  <ol>
% for each in listed:
    <li>\\
% if each.id == task["id"]:
<strong aria-current="true">{{each.manifest.title}}</strong>\\
% else:
<a href="/review/{{each.id}}">{{each.manifest.title}}</a>\\
% end
 <span class="meta">by {{each.submissions[-1].by}}</span></li>
% end
  </ol>
% if place.total > len(listed):
  <p class="meta"><a href="{{every}}">All {{place.total}}</a></p>
% end
</details>
% end
% include("review_keys.tpl")
</div>
</div>
% include("review_bar.tpl", task=task, may=may, offered=offered, place=place, attempt=attempt, hidden=hidden, actions=actions, reasons=reasons)
