% own = [view for view in views if view.own]
<div class="aside">
<details id="save"{{" open" if unsaved else ""}}>
  <summary>Save this view</summary>
% if filters == asking.Filters() and not unsaved:
  <p class="hint">Choose a filter, an order or the board; what is shown can then be saved under a name.</p>
% else:
  <p class="hint">Its filters, order and form under a name, for you alone. A name you have used already is overwritten.</p>
  <form method="post" action="/views" class="filters">
    <input type="hidden" name="csrf" value="{{visit.csrf}}">
    <input type="hidden" name="query" value="{{address(filters).partition("?")[2]}}">
    <div class="field grow">
      <label for="view-name">Name</label>
      <input id="view-name" name="name" value="{{typed.get("name", "")}}" maxlength="80" required{{!' aria-invalid="true" aria-describedby="view-error"' if unsaved else ''}}>
% if unsaved:
      <p class="error" id="view-error" role="alert">{{sentence(unsaved.message.removeprefix(f"{getattr(unsaved, 'where', '')}: "))}}</p>
% end
    </div>
    <p class="buttons"><button>Save the view</button></p>
  </form>
% end
% if own:
  <h2>Your views</h2>
  <ul class="files">
% for view in own:
    <li class="kept"><a href="{{view.address}}">{{view.name}}</a>
      <form method="post" action="/views/drop">
        <input type="hidden" name="csrf" value="{{visit.csrf}}">
        <input type="hidden" name="name" value="{{view.name}}">
        <button class="quiet">Remove<span class="unseen"> the view {{view.name}}</span></button>
      </form>
    </li>
% end
  </ul>
% end
</details>
<details>
  <summary>How to search</summary>
  <p class="hint">Everything you type must hold. Words are looked for in titles, descriptions and labels.</p>
  <dl class="facts">
    <dt><code>gold prices</code></dt><dd>both words</dd>
    <dt><code>"gold prices"</code></dt><dd>one after the other</dd>
    <dt><code>pri*</code></dt><dd>words that begin so</dd>
    <dt><code>-draft</code></dt><dd>not this; also before the following</dd>
    <dt><code>state:running,claimed</code></dt><dd>one of these states</dd>
    <dt><code>publisher:</code> <code>assignee:</code> <code>reviewer:</code></dt><dd>an actor’s id; <code>assignee:none</code> for nobody</dd>
    <dt><code>with:alice</code></dt><dd>who publishes, does or reviews it</dd>
    <dt><code>for:human</code> <code>for:agent</code></dt><dd>who may do it; also <code>reasoning:low</code>, <code>browser:none</code>, <code>compute:tiny</code>, <code>speed:fast</code> as tasks ask for them</dd>
    <dt><code>origin:email</code> <code>source:</code></dt><dd>what it came from</dd>
    <dt><code>label:data</code></dt><dd>this label; <code>label:"old data"</code> for more words</dd>
    <dt><code>priority:&lt;3</code></dt><dd>1 is the most urgent</dd>
    <dt><code>due:&lt;2026-12-01</code></dt><dd>also <code>created:</code> and <code>updated:</code>, in UTC; <code>due:none</code></dd>
    <dt><code>is:waiting</code></dt><dd>with an open question</dd>
    <dt><code>is:blocked</code></dt><dd>that wait for other tasks</dd>
    <dt><code>id:4k7q</code></dt><dd>by the beginning of the id; four characters alone do as well</dd>
  </dl>
</details>
<details id="keys" hidden>
  <summary>Keyboard</summary>
  <dl class="facts">
    <dt><span class="kbd">/</span></dt><dd>to the search</dd>
    <dt><span class="kbd">j</span> <span class="kbd">k</span></dt><dd>next and previous task; on a task also <span class="kbd">↓</span> <span class="kbd">↑</span></dd>
    <dt><span class="kbd">h</span> <span class="kbd">l</span></dt><dd>on the board: the column to the left and to the right</dd>
    <dt><span class="kbd">Enter</span></dt><dd>opens the task</dd>
  </dl>
  <p><input type="checkbox" id="keys-on" checked> <label for="keys-on">Use these keys in this browser</label></p>
</details>
</div>
