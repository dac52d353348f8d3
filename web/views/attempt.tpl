<section class="card" aria-labelledby="side-{{which}}">
  <h2 id="side-{{which}}"><span class="meta">{{which}}</span> <a href="{{here}}#submissions">Submission {{side["number"]}}</a></h2>
  <dl class="facts">
    <dt>Submitted</dt><dd>by <a href="/actors/{{side["by"]}}">{{side["by"]}}</a>, {{!when(side["at"], now, short=True)}}</dd>
    <dt>Attempt</dt><dd>{{side["execution"]}}, of <a href="{{here}}/versions/{{side["version"]}}">version {{side["version"]}}</a></dd>
    <dt>Files</dt><dd>{{side["file_count"]}}, {{size(side["bytes"])}}</dd>
    <dt>Review</dt><dd>\\
% if side["review"]:
% include("state.tpl", state=side["review"]["decision"])
 by <a href="/actors/{{side["review"]["by"]}}">{{side["review"]["by"]}}</a>, {{!when(side["review"]["at"], now, short=True)}}\\
% else:
<span class="meta">none yet</span>\\
% end
</dd>
  </dl>
% if side["reason"]:
  <div class="note {{"good" if side["review"] and side["review"]["decision"] == "approved" else "bad"}} prose">{{!markdown(side["reason"])}}</div>
% end
</section>
