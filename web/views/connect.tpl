<section class="connect" aria-labelledby="connect">
<h2 id="connect">Connect {{actor["id"]}}</h2>
% if not secret:
<p class="hint">With an API key of {{actor["id"]}}, which is shown once when it is made.</p>
% end
<ol class="ways">
% for purpose, commands in connect:
  <li><span class="purpose">{{purpose}}</span><pre data-copy="{{purpose}}">{{commands}}</pre></li>
% end
</ol>
<p class="meta"><a href="/help">More ways</a> are in the help; <code>taskrepo COMMAND --help</code> tells what a command takes.</p>
</section>
