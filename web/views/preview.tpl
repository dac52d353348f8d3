% if shown.fault:
<p class="note bad">{{shown.fault}}</p>
% end
% if shown.notes:
<p class="meta">{{" ".join(shown.notes)}}</p>
% end
{{!shown.html}}
% if shown.source:
<details class="step"><summary>Source</summary>
{{!shown.source}}
</details>
% end
