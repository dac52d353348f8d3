<nav class="pages steps" aria-label="{{label}}">
% if older:
  <a href="/ledger/{{older}}{{folder}}" rel="prev">← Previous <span class="id">{{older[:12]}}</span></a>
% end
% if newer:
  <a href="/ledger/{{newer}}{{folder}}" rel="next">Next <span class="id">{{newer[:12]}}</span> →</a>
% end
</nav>
