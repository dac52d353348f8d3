<div class="note good" role="status">
  <p><strong>{{title}}</strong> It is shown only now: copy it before you leave this page.</p>
  <p><code class="secret">{{secret}}</code></p>
</div>
