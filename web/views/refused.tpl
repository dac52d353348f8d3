% if error:
% path = error.details.get("path", "")
<div class="note bad refused" role="alert" tabindex="-1" data-path="{{path}}" data-why="{{error.message}}">
  <p><strong>{{title}}</strong></p>
% if not any(mistake.said in error.message for mistake in get("mistakes", ())):
  <p>{{sentence(error.message)}}</p>
% end
% if get("mistakes", ()):
  <ul>
% for mistake in mistakes:
    <li><a href="#{{mistake.ident}}">{{mistake.label}}</a>: {{mistake.said}}</li>
% end
  </ul>
% end
% if defined("files") and files:
  <p class="again">What you typed is kept below; files have to be chosen again.</p>
% end
</div>
% end
