% rebase("layout.tpl", title="Help: API reference", section="help")
<div class="helped">
% include("help_nav.tpl")
<article class="reference">
<h1>API reference</h1>
<p>HTTP and JSON below <code>{{base}}/api/v1</code>, with <code>Authorization: Bearer KEY</code>. Errors are problem details (RFC 9457) with a <a href="/help/errors">code</a>. A command sent again with the same <code>Idempotency-Key</code> is carried out once; with <code>If-Match</code> it is carried out only if the task has not changed. Who asks too often gets 429, and who finds no room 503: both say in <code>Retry-After</code> when to come back. This page is made from <a href="/api/v1/openapi.json">the OpenAPI document</a>.</p>
{{!body}}
</article>
</div>
