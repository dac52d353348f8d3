<ol class="timeline" reversed>
% for event in events:
% short = event["commit"][:12]
% seal = event["seal"]
  <li id="event-{{short}}">
    <p class="what"><strong>{{words(event["event"])}}</strong> by <a href="/actors/{{event["actor"]}}">{{event["actor"]}}</a>{{f", attempt {event['execution']}" if event["execution"] else ""}}\\
% if event["from"] != event["to"] and event["to"]:
 <span class="moved">{{f"{event['from']} " if event["from"] else ""}}→ {{event["to"]}}</span>\\
% end
</p>
% if event["words"] and not task["title"].startswith(event["words"].rstrip("…")):
    <p class="words">{{event["words"]}}</p>
% end
    <p class="meta">{{!when(event["at"], now)}} · {{event["door"]}} · <a class="id" href="/ledger/{{event["commit"]}}" title="{{event["commit"]}}">{{short}}</a> ·</p>
    <details id="check-{{short}}">
      <summary><span class="seal {{seal.tone}}">{{seal.short}}</span><span class="unseen">: how to check</span></summary>
% for sentence in seal.sentences:
      <p>{{sentence}}</p>
% end
      <p class="hint">In a clone of the ledger:</p>
% for command in event["commands"]:
      <div class="command"><code>{{command}}</code> <button type="button" class="quiet copy" data-copy="{{command}}">Copy</button></div>
% end
    </details>
  </li>
% end
</ol>
