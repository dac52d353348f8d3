% old, new = sides
% here = f"/tasks/{task.id}"
% nouns = [f"Submission {side['number']}" for side in sides]
% rebase("layout.tpl", title=f"Submissions {old['number']} and {new['number']} of {task.manifest.title}", section="tasks")
<nav class="crumb" aria-label="Where this is"><a href="/tasks">Tasks</a> › <a href="{{here}}">{{task.manifest.title}}</a> › <a href="{{here}}#submissions">Submissions</a></nav>
<div class="heading">
  <h1>What changed from submission {{old["number"]}} to {{new["number"]}}</h1>
  <nav class="actions attempt-ways" aria-label="Other comparisons">
% if "before" in ways:
    <a class="button" href="{{ways["before"]}}" rel="prev">← Previous pair</a>
% end
% if "after" in ways:
    <a class="button" href="{{ways["after"]}}" rel="next">Next pair →</a>
% end
  </nav>
</div>
<div class="split attempt-sides">
% for side in sides:
% include("attempt.tpl", side=side, here=here, which="Before" if side is old else "After")
% end
</div>
<form class="filters" method="get" action="{{here}}/submissions/compare" aria-label="Compare others">
% for name, label, chosen in (("old", "Before", old["number"]), ("new", "After", new["number"])):
  <div class="field">
    <label for="choose-{{name}}">{{label}}</label>
    <select id="choose-{{name}}" name="{{name}}">
% for number in sorted({*choices, chosen}, reverse=True):
      <option value="{{number}}"{{" selected" if number == chosen else ""}}>Submission {{number}}</option>
% end
    </select>
  </div>
% end
% if split:
  <input type="hidden" name="split" value="1">
% end
  <div class="buttons"><button>Compare</button> <a href="{{ways["round"]}}">The other way round</a></div>
</form>
<p class="tabs layout-choice" role="group" aria-label="Layout of differences">
% for wanted, label in ((False, "One column"), (True, "Side by side")):
  <a href="{{ways["here" if wanted == split else "layout"]}}"{{!' aria-current="true"' if wanted == split else ""}}>{{label}}</a>
% end
</p>
<section aria-labelledby="summary">
<h2 id="summary">Summary</h2>
% if summary:
{{!summary}}
% elif too_long:
<p class="meta">The summaries differ too much to be compared line by line. Both are below.</p>
% else:
<p class="meta">Both have the same summary.</p>
% end
% if old["summary"] or new["summary"]:
<details class="step"><summary>Both summaries as they read</summary>
<div class="split">
% for side in sides if old["summary"] != new["summary"] else [new]:
<div><h3>Submission {{side["number"]}}</h3><div class="prose">{{!markdown(side["summary"])}}</div></div>
% end
</div>
</details>
% end
</section>
<section aria-labelledby="files">
<h2 id="files">Files</h2>
% if not files:
<p class="empty"><strong>No file differs.</strong> {{f"Both have the same {len(same)}." if len(same) > 1 else "Both have the same one." if same else "Neither has any."}}</p>
% else:
% include("changes.tpl", nouns=nouns)
% end
% if same and files:
<details class="step"><summary>{{len(same)}} unchanged {{"file" if len(same) == 1 else "files"}}</summary>
<ul>
% for file in same[:max_listed]:
  <li>{{exposed(file.path)}} <span class="meta">{{size(file.size)}}</span></li>
% end
% if len(same) > max_listed:
  <li class="meta">and {{len(same) - max_listed}} more</li>
% end
</ul>
</details>
% end
</section>
% for at, item in enumerate(files):
% if item["shown"].told:
% include("contrast.tpl", at=at, item=item, nouns=nouns)
% end
% end
