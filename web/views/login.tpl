% rebase("layout.tpl", title="Sign in")
<div class="narrow card door">
<h1>Sign in</h1>
% include("refused.tpl", title="You are not signed in.")
% if error and error.code == "too-many-requests":
<p>Failed attempts are counted for each actor id, wherever they come from. A sign-in link from an admin works meanwhile, and so do API keys.</p>
% end
<form method="post" action="/login">
  <input type="hidden" name="csrf" value="{{visit.csrf}}">
  <input type="hidden" name="next" value="{{values.get("next", "/")}}">
% include("fields.tpl", prefix="login")
  <p class="buttons"><button class="primary">Sign in</button></p>
</form>
<p class="meta">No password yet? An admin can give you a sign-in link. Programs use API keys: see <a href="/help">help</a>.</p>
</div>
