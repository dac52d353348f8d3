% if error:
<div class="note bad" role="alert">
  <p><strong>{{title}}</strong></p>
  <p>{{error.message}}</p>
% if defined("files") and files:
  <p>What you typed is kept below; files have to be chosen again.</p>
% end
</div>
% end
