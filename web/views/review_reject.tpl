% values = attempt.typed("reject")
% wrong = attempt.problems("reject").get("reason", "")
<form method="post" action="/review/{{task["id"]}}/reject">
  <button disabled hidden>Nothing</button>
% for name, value in hidden.items():
  <input type="hidden" name="{{name}}" value="{{value}}">
% end
  <div class="field">
    <label for="reject-reason">What has to change <span class="needed">required{{", unless you choose a kept reason" if reasons else ""}}</span></label>
% if wrong:
    <p class="error" id="reject-error">{{wrong}}</p>
% end
    <textarea id="reject-reason" name="reason" rows="4" maxlength="2000"{{!' aria-invalid="true" aria-describedby="reject-error"' if wrong else ''}}>
{{values.get("reason", "")}}</textarea>
  </div>
  <div class="review-reasons">
% if reasons:
    <div class="field">
      <label for="reject-template">Kept reason <span class="needed">used as it is when you type nothing</span></label>
      <select id="reject-template" name="template">
        <option value="">none</option>
% for kept in reasons:
        <option value="{{kept.name}}" data-text="{{kept.text}}"{{" selected" if values.get("template") == kept.name else ""}}>{{kept.name}}</option>
% end
      </select>
    </div>
    <p class="buttons">
      <button type="button" id="insert-reason" hidden>Insert it</button>
      <button class="quiet" formaction="/review/{{task["id"]}}/reasons/drop">Remove it</button>
    </p>
% end
    <details class="review-keep" id="keep-reason"{{" open" if values.get("name") else ""}}>
      <summary>Keep this reason for later</summary>
      <div>
        <div class="field">
          <label for="reject-name">Its name</label>
          <input id="reject-name" name="name" type="text" maxlength="80" value="{{values.get("name", "")}}" autocomplete="off">
        </div>
        <p class="buttons"><button formaction="/review/{{task["id"]}}/reasons">Keep it</button></p>
      </div>
    </details>
  </div>
  <p class="buttons">
    <button class="danger">Reject</button>
    <button type="button" class="quiet" id="list-missing" hidden>Name the criteria that are not ticked</button>
  </p>
</form>
