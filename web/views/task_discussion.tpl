<section aria-labelledby="discussion">
<h2 id="discussion">Discussion</h2>
<div id="live-question" data-live>
% if open_question:
<div class="asked" id="question">
  <h3>Open question <span class="meta">by <a href="/actors/{{open_question["by"]}}">{{open_question["by"]}}</a>, {{!when(open_question["at"], now, short=True)}}; the lease stands still until it is answered</span></h3>
  <div class="prose">{{!markdown(open_question["text"])}}</div>
% if open_question["files"]:
% include("files.tpl", files=open_question["files"])
% end
% if "answer" in offered:
% action = actions["answer"]
  <div id="do-answer">
% include("form.tpl", action=f"/tasks/{task['id']}/answer", uploads=True, hidden=hidden["answer"], fields=action.fields, prefix="answer", values=attempt.typed("answer"), errors=attempt.problems("answer"), tone="primary", button=action.button)
  </div>
% else:
  <p class="meta">Its answer is for {{task["publisher"]}}{{f" or {task['reviewer']}" if task["reviewer"] not in (task["publisher"], "none") else ""}}.</p>
% end
</div>
% end
</div>
<div id="live-talk" data-live>
% if earlier:
<p class="meta">The first {{earlier}} of {{task["discussion"]}} entries are not shown here. <a href="/tasks/{{task["id"]}}?until={{earlier}}#discussion">Show earlier entries</a></p>
% end
% for remark in talk:
% if remark["number"] != task["question"]:
% include("task_remark.tpl", remark=remark)
% end
% end
% if later:
<p class="meta">{{later}} newer {{"entry is" if later == 1 else "entries are"}} not shown here. <a href="/tasks/{{task["id"]}}#discussion">Show the newest entries</a></p>
% end
% if not talk:
<p class="meta">Nothing has been said yet.</p>
% end
</div>
% if "comment" in offered:
<div class="comment" id="do-comment">
% action = actions["comment"]
% include("form.tpl", action=f"/tasks/{task['id']}/comment", uploads=True, hidden=hidden["comment"], fields=action.fields, prefix="comment", values=attempt.typed("comment"), errors=attempt.problems("comment"), tone="", button=action.button)
</div>
% end
</section>
