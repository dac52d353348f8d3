% rebase("layout.tpl", title="Sign in by link")
<div class="narrow card door">
<h1>Sign in by link</h1>
% include("refused.tpl", title="You are not signed in.")
% if not actor:
<p>Links work once and for a limited time. Ask an admin for another one, or <a href="/login">sign in with your password</a>.</p>
% else:
<p>This link signs you in as <strong>{{actor}}</strong>, once. It is used up when you press the button.</p>
<form method="post">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <div hidden><label for="link-actor">Actor id</label>
    <input id="link-actor" autocomplete="username" value="{{actor}}" readonly></div>
% include("fields.tpl", prefix="link", values={})
  <p class="buttons"><button class="primary">Sign in</button></p>
</form>
% end
</div>
