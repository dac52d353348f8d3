<section aria-labelledby="{{section.id}}-title" id="{{section.id}}" data-live>
  <h2 id="{{section.id}}-title">{{section.title}} <span class="count{{" due" if section.total and section.id in ("review", "answer") else ""}}">{{section.total}}</span></h2>
% if section.entries:
% include("work_list.tpl", entries=section.entries, states=section.id in ("hand", "published"))
% else:
  <p class="meta">{{section.empty}}</p>
% end
% if section.rest:
  <p class="meta job-rest">\\
% for words_of_it, href in section.rest:
<a href="{{href}}">{{words_of_it}}</a> \\
% end
</p>
% end
</section>
