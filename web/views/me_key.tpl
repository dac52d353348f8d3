  <li class="entry">
    <div><strong>{{key["name"]}}</strong> <code class="id">tr_{{key["id"]}}_…</code><br>
    <span class="meta">made {{!when(key["created_at"], now, short=True)}}, \\
% if key["last_used_at"]:
last used {{!when(key["last_used_at"], now, short=True)}}\\
% else:
never used\\
% end
</span></div>
    <form method="post" action="/me/keys/{{key["id"]}}/revoke" class="inline">
      <input type="hidden" name="csrf" value="{{visit.csrf}}">
      <button class="quiet">Revoke<span class="unseen"> {{key["name"]}}, tr_{{key["id"]}}</span></button>
    </form></li>
