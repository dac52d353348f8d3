<article class="remark {{remark["kind"]}}" id="entry-{{remark["number"]}}">
  <h3><a href="/actors/{{remark["by"]}}">{{remark["by"]}}</a> <span class="meta">{{remark["kind"]}}, {{!when(remark["at"], now, short=True)}}\\
% if remark["kind"] == "question" and not remark["answer"]:
, never answered\\
% end
</span></h3>
  <div class="prose">{{!markdown(remark["text"])}}</div>
% if remark["files"]:
% include("files.tpl", files=remark["files"])
% end
</article>
% if remark["answer"]:
% include("task_remark.tpl", remark=remark["answer"])
% end
