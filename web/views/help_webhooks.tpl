% rebase("layout.tpl", title="Help: webhooks", section="help")
<div class="helped">
% include("help_nav.tpl")
<article class="article">
<h1>Webhooks</h1>
<p>A webhook sends what happens here to a program of yours, as it happens. Add one on <a href="/me/webhooks">your own page</a>, with <code>POST /api/v1/webhooks</code>, or with</p>
<pre>taskrepo webhook add https://example.org/hook --filter 'event:submitted,approved reviewer:me'</pre>
<p>You get the events that you may read, and of those what the filter wants; without a filter, all of them. Its secret is shown once: keep it where the program finds it.</p>
<h2 id="message">What is sent</h2>
<p>One <code>POST</code> for each event. The body is a CloudEvent 1.0 (<code>application/cloudevents+json</code>); <code>data.event</code> is the event as <code>GET /events</code> gives it, <code>data.task</code> the task in brief, as the event left it.</p>
<pre>{"specversion": "1.0", "id": "9f2c…", "source": "{{base}}/api/v1/events", "type": "taskrepo.task.submitted",
 "subject": "4k7q2m9x", "time": "2026-12-01T12:00:00Z", "datacontenttype": "application/json",
 "data": {"event": {"commit": "9f2c…", "event": "submitted", "actor": "bob", …}, "task": {"title": "Count words", …}}}</pre>
<p>The <code>type</code> is <code>taskrepo.task.</code> and what happened, <code>taskrepo.directory.</code> and what happened to an actor or the policy, or <code>taskrepo.ping</code> for a test.</p>
<h2 id="promises">What you can rely on</h2>
<ul>
  <li><strong>Nothing is lost, and the order is the ledger’s.</strong> The next event is sent only when the one before was answered with 2xx, also across restarts of either side.</li>
  <li><strong>An event may come twice</strong>, after an answer that was lost. Its id, the commit, is the same each time: remember the ids you have seen.</li>
  <li><strong>Answer soon.</strong> Within 10 seconds; put long work aside first. Redirects are not followed.</li>
  <li><strong>What fails is tried again</strong>, after 2 seconds, then 4, up to an hour; <code>Retry-After</code> is obeyed. After 3 days without a success, or at once if you answer 410, the webhook is disabled, and its page says why. Resumed, it goes on where it stopped.</li>
  <li><strong>It can be sent again</strong>: a single event, or everything after a commit.</li>
  <li><strong>It goes to the public internet only</strong>, to port 80, 443 or one from 1024 on, unless the operator of the exchange has allowed a network (<code>taskrepo serve --webhooks-allow 10.1.0.0/16</code>).</li>
</ul>
<h2 id="check">Check the signature</h2>
<p>Messages are signed as Standard Webhooks (standardwebhooks.com) has it, so its libraries check them. Without one, in Python:</p>
<pre id="receiver">import base64, hmac, json, time
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = base64.b64decode("whsec_…".removeprefix("whsec_"))
seen = set()  # better kept on disk

class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        ident, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        signed = hmac.digest(KEY, f"{ident}.{at}.".encode() + body, "sha256")
        mine = "v1," + base64.b64encode(signed).decode()
        theirs = self.headers["webhook-signature"].split()
        if not any(hmac.compare_digest(mine, each) for each in theirs) or abs(time.time() - int(at)) &gt; 300:
            return self.send_error(401)
        if ident not in seen:
            event = json.loads(body)
            print(event["type"], event["subject"], flush=True)
            seen.add(ident)
        self.send_response(204)
        self.end_headers()

HTTPServer(("", 8000), Hook).serve_forever()</pre>
<p>After a new secret was made, messages carry two signatures for a day, one by each: put the new one in place within that time, and none is refused.</p>
<h2 id="filters">Filters</h2>
<p>Conditions with a space between them must all hold; commas mean or; <code>-</code> before one negates it: <code>event: command: task: actor: via: from: to: state: publisher: assignee: reviewer: label: visibility:</code>. For a person, <code>me</code> is you and <code>none</code> nobody: <code>event:created label:urgent -publisher:me</code>.</p>
</article>
</div>
