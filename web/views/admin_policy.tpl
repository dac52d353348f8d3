% rebase("layout.tpl", title="Policy", section="admin")
<div class="heading"><h1>Policy</h1></div>
% include("admin_nav.tpl", here="policy")
<div class="article">
% include("refused.tpl", title="The policy was not changed.")
<p>Limits and defaults of this exchange. What you change is one event of the ledger; it counts from then on, and never for what was decided before. Sizes and times are typed with their unit: <code>2 GiB</code>, <code>500 MB</code>, <code>90 minutes</code>, <code>7 days</code>.</p>
<form method="post" action="/admin/policy">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
% for name, value in shown.items():
  <input type="hidden" name="{{was}}{{name}}" value="{{value}}">
% end
% for title, group in sections:
<section class="card">
<h2>{{title}}</h2>
<div class="{{"grid even" if len(group) > 1 and group[0].kind != "text" else ""}}">
% include("fields.tpl", fields=group, prefix="policy", values=values, errors=errors)
</div>
</section>
% end
  <p class="buttons"><button class="primary">Save the policy</button> <a class="button quiet" href="/admin/policy">Start over</a></p>
</form>
<section aria-labelledby="history">
<h2 id="history">Changes</h2>
% if changes:
<div class="scroll changes" role="region" tabindex="0" aria-label="Changes of the policy">
<table>
  <thead><tr><th scope="col">When</th><th scope="col">By</th><th scope="col">What</th><th scope="col">Commit</th></tr></thead>
  <tbody>
% for made, told in changes:
  <tr><td>{{!when(at(made.at), now, short=True)}}</td><td><a href="/actors/{{made.by}}">{{made.by}}</a></td>
    <td class="what">
% for line in told:
      <div>{{line}}</div>
% end
    </td><td><a href="/ledger/{{made.commit}}"><code class="id">{{made.commit[:12]}}</code></a></td></tr>
% end
  </tbody>
</table>
</div>
% else:
<p class="meta">None: it is as the exchange was founded with, {{!when(at(updated.at), now)}}.</p>
% end
</section>
</div>
