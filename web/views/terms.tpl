  <h2>Terms</h2>
% for group in groups:
  <details class="group" data-sum{{" open" if any(f.name in errors for f in group.fields) else ""}}>
    <summary><span>{{group.title}}</span> <span class="sums">{{group.summary(values)}}</span></summary>
    <div class="grid even">
% include("fields.tpl", fields=group.fields, summed=True)
    </div>
  </details>
% end
