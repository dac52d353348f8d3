% further = [name for name in asking.FIELDS if name not in ("q", "mine", "sort")]
% bad = wrong.where if wrong and wrong.where in ("q", *asking.FIELDS) else ""
% def choice(name, label, options, more=""):
  <div class="field{{more}}">
    <label for="{{name}}">{{label}}</label>
    <select id="{{name}}" name="{{name}}"{{!f' aria-invalid="true" aria-describedby="{name}-error"' if bad == name else ''}}>
% for value, words in options.items():
      <option value="{{value}}"{{" selected" if value and getattr(filters, name) == value else ""}}>{{words}}</option>
% end
    </select>
% if bad == name:
    <p class="error" id="{{name}}-error">{{sentence(wrong.message.partition(": ")[2])}}</p>
% end
  </div>
% end
% def person(name, label, hint):
  <div class="field">
    <label for="{{name}}">{{label}}</label>
    <input id="{{name}}" name="{{name}}" value="{{getattr(filters, name)}}" maxlength="39" placeholder="{{hint}}" autocapitalize="none" spellcheck="false"{{!' list="people"' if people else ''}}>
  </div>
% end
<form class="ask" method="get" action="/tasks" role="search" aria-label="This list">
% if filters.states:
  <input type="hidden" name="state" value="{{",".join(filters.states)}}">
% end
% if filters.board:
  <input type="hidden" name="view" value="board">
% end
  <div class="filters">
  <div class="field grow">
    <label for="q">Search</label>
    <input id="q" name="q" type="search" value="{{filters.q}}" maxlength="500" placeholder="words, &quot;a phrase&quot;, begin*, label:data, due:&lt;2026-12-01" autocomplete="off" spellcheck="false"{{!' aria-invalid="true" aria-describedby="q-error"' if bad == "q" else ''}}>
  </div>
% choice("mine", "Whose", {"": "everybody's", **asking.MINE}, " choosing")
% choice("sort", "Order", asking.orders(filters), " choosing")
  <p class="buttons"><button>Show</button></p>
  </div>
% if bad == "q":
  <p class="error" id="q-error" role="alert">{{sentence(wrong.message.removeprefix("q: "))}}</p>
% end
  <details class="more"{{" open" if any(getattr(filters, name) for name in further) else ""}}>
    <summary>More filters</summary>
    <div class="grid">
% person("publisher", "Publisher", "anybody")
% person("assignee", "Assignee", "anybody; none for nobody")
% person("reviewer", "Reviewer", "anybody")
  <div class="field">
    <label for="label">Label</label>
    <input id="label" name="label" value="{{filters.label}}" maxlength="100" placeholder="any">
  </div>
% choice("priority", "Priority", {"": "any", **asking.PRIORITIES})
% choice("due", "Due", {"": "any time", **asking.DUE})
% choice("changed", "Last change", {"": "any time", **asking.CHANGED})
% choice("waiting", "Question", {"": "open or not", **asking.WAITING})
    </div>
% if people:
    <datalist id="people">
% for id in people:
      <option value="{{id}}"></option>
% end
    </datalist>
% end
  </details>
</form>
