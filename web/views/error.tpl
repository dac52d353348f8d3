% heading = {401: "Sign in first", 403: "Not allowed", 404: "Not found", 405: "Not possible here", 410: "Gone", 412: "Changed meanwhile", 413: "Too large", 429: "Too many requests", 500: "The exchange failed", 503: "Busy just now"}.get(status, "That did not work")
% rebase("layout.tpl", title=heading)
<div class="narrow">
<h1>{{heading}}</h1>
<p>{{sentence(detail)}}</p>
<p class="meta">Code: <code>{{code}}</code></p>
% if status == 401:
<p><a href="/login">Sign in</a></p>
% elif code == "forged-request":
<p>Go back, reload the page and send the form again.</p>
% end
<p><a href="/tasks">To the tasks</a></p>
</div>
