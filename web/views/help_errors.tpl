% rebase("layout.tpl", title="Help: refusals", section="help")
<div class="helped">
% include("help_nav.tpl")
<article class="article">
<h1>Refusals</h1>
<p>Whatever door a command comes through, a refusal has one of these codes and changes nothing. Over HTTP it is a problem (RFC 9457) with <code>code</code>, a sentence in <code>detail</code>, and often more: the limit, the reasons, who holds the task. Malformed input is answered with 400 and <code>where</code>, the field it is about.</p>
<div class="scroll" role="region" aria-label="Refusals" tabindex="0">
<table>
  <thead><tr><th scope="col">Code</th><th scope="col">HTTP</th><th scope="col">What it means</th></tr></thead>
  <tbody>
% for status, code, meaning in refusals:
  <tr id="{{code}}"><th scope="row"><code>{{code}}</code></th><td>{{status}}</td><td>{{meaning}}</td></tr>
% end
  </tbody>
</table>
</div>
</article>
</div>
