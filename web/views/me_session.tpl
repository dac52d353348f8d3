  <li class="entry">
    <div><strong>{{item["browser"] or "Unknown browser"}}</strong>\\
% if item["id"] == this:
 <span class="label">this one</span>\\
% end
<br><span class="meta">begun {{!when(item["created_at"], now, short=True)}}, last seen {{!when(item["seen_at"], now, short=True)}}</span></div>
% if item["id"] == this:
    <form method="post" action="/logout" class="inline">
      <input type="hidden" name="csrf" value="{{visit.csrf}}">
      <button class="quiet">Sign out<span class="unseen"> here</span></button>
    </form></li>
% else:
    <form method="post" action="/me/sessions/{{item["id"]}}/end" class="inline">
      <input type="hidden" name="csrf" value="{{visit.csrf}}">
      <button class="quiet">End<span class="unseen"> the session in {{item["browser"] or "an unknown browser"}}, begun {{item["created_at"]}}</span></button>
    </form></li>
% end
