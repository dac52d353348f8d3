<nav class="contents" aria-label="Calls">
% for group in groups:
  <a href="#{{group.id}}">{{group.title}}</a>
% end
  <a href="#shapes">Shapes</a>
</nav>
% for group in groups:
<section aria-labelledby="{{group.id}}">
<h2 id="{{group.id}}">{{group.title}}</h2>
% for call in group.operations:
<details class="call" id="{{call.id}}">
  <summary><code><span class="method {{call.method.lower()}}">{{call.method}}</span> {{call.path}}</code> <span class="meta">{{call.summary}}</span></summary>
% if call.about:
  <p>{{!inline(call.about)}}</p>
% end
% entries = [("Parameters", call.parameters), ("Body", call.body)]
% for label, rows in entries:
% if rows:
  <table>
    <caption>{{label}}{{f" ({call.takes[0]})" if label == "Body" else ""}}</caption>
    <thead><tr><th scope="col">Name</th><th scope="col">Kind</th><th scope="col">About</th></tr></thead>
    <tbody>
% for row in rows:
    <tr><th scope="row"><code>{{row.name}}</code>{{" *" if row.required else ""}}</th><td>\\
% if row.kind.shape:
<a href="#shape-{{row.kind.shape}}">{{row.kind.words}}</a>\\
% else:
{{row.kind.words}}\\
% end
</td><td>{{row.place + ("; " if row.place and row.about else "")}}{{!inline(row.about) if row.about else ""}}</td></tr>
% end
    </tbody>
  </table>
% end
% end
% if len(call.takes) > 1 or (call.takes and not call.body):
  <p>Takes {{", ".join(call.takes).replace("*/*", "the file's bytes")}}.{{!" As a form: " + inline(call.form) if call.form else ""}}</p>
% end
  <p>Answers \\
% for at, (status, meaning, kind) in enumerate(call.answers):
{{", " if at else ""}}{{status}} \\
% if kind.shape:
(<a href="#shape-{{kind.shape}}">{{kind.words}}</a>)\\
% else:
({{kind.words}})\\
% end
% end
; refuses with {{", ".join(call.errors)}}.</p>
</details>
% end
</section>
% end
<section aria-labelledby="shapes">
<h2 id="shapes">Shapes</h2>
<p class="meta">A star marks what is always there, or has to be.</p>
% for shape in shapes:
<details class="call" id="shape-{{shape.name}}">
  <summary><code>{{shape.name}}</code> <span class="meta">{{!inline(shape.about) if shape.about else ""}}</span></summary>
% if shape.fields:
  <table>
    <thead><tr><th scope="col">Field</th><th scope="col">Kind</th><th scope="col">About</th></tr></thead>
    <tbody>
% for row in shape.fields:
    <tr><th scope="row"><code>{{row.name}}</code>{{" *" if row.required else ""}}</th><td>\\
% if row.kind.shape:
<a href="#shape-{{row.kind.shape}}">{{row.kind.words}}</a>\\
% else:
{{row.kind.words}}\\
% end
</td><td>{{!inline(row.about) if row.about else ""}}</td></tr>
% end
    </tbody>
  </table>
% else:
  <p>Anything.</p>
% end
</details>
% end
</section>
