// What is typed stays. Comforts only: every form works without this file.
//
// data-draft="KEY"  on a form: what is typed is kept in this browser, for this actor and KEY, until the form is sent or
//                   its actor signs out (page.js). It is offered when the page is opened again, and overwrites nothing
//                   unasked. Passwords, hidden fields and files are not kept.
// data-preview="ID" on a submit button: the element ID of its answer takes the place of this page's; no file is sent.
// data-sum          on a details: .sums in its summary says what its fields (data-short, data-empty) are set to.
//
// A field with a maxlength tells how full it is once that is near.
"use strict";

(() => {
  const PLACE = "taskrepo:draft:";
  const MOST = 20;
  const LONGEST = 200000;
  const KEPT = 30 * 864e5;
  const store = (work) => { try { return work(localStorage); } catch { return null; } };
  const keys = (all) => Object.keys(all).filter((key) => key.startsWith(PLACE));
  const read = (key) => store((all) => JSON.parse(all.getItem(key)));
  const placeOf = (form) => `${PLACE}${document.body.dataset.actor}:${form.dataset.draft}`;
  const fields = (form) => [...form.elements].filter((each) => each.name
    && each.matches("textarea, select, input:not([type=hidden], [type=file], [type=password])"));
  const ticks = (each) => each.type === "radio" || each.type === "checkbox";
  const values = (form) => Object.fromEntries(
    fields(form).filter((each) => !ticks(each) || each.checked).map((each) => [each.name, each.value]));
  // As the page came: somebody may have typed before this file had come, too.
  const initial = (each) => {
    if (!each.options) return each.defaultValue;
    return ([...each.options].find((option) => option.defaultSelected) ?? each.options[0])?.value ?? "";
  };
  const asSent = (form) => Object.fromEntries(fields(form).filter((each) => !ticks(each) || each.defaultChecked)
    .map((each) => [each.name, ticks(each) ? each.value : initial(each)]));
  const original = new WeakMap();

  const forget = (form) => store((all) => all.removeItem(placeOf(form)));

  const keep = (form, sent = false) => {
    const now = JSON.stringify(values(form));
    if (now === original.get(form) || now.length > LONGEST) return;
    store((all) => {
      all.setItem(placeOf(form), JSON.stringify({ at: Date.now(), sent, values: values(form) }));
      const old = keys(all).sort((a, b) => (read(b)?.at || 0) - (read(a)?.at || 0));
      old.slice(MOST).forEach((key) => all.removeItem(key));
    });
  };

  const button = (text, work) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", work);
    return made;
  };

  const restore = (form, known) => {
    for (const each of fields(form)) {
      if (ticks(each)) each.checked = known[each.name] === each.value;
      else if (each.name in known) each.value = known[each.name];
      follow(each);
    }
    keep(form);
  };

  const spoken = (then) => {
    const at = new Date(then);
    const today = at.toDateString() === new Date().toDateString();
    return at.toLocaleString([], today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
  };

  const offer = (form, draft) => {
    const note = document.createElement("div");
    const words = document.createElement("p");
    const ended = (work) => () => { note.remove(); work(); fields(form)[0]?.focus(); };
    note.className = "note kept";
    words.textContent = `What you typed at ${spoken(draft.at)} is still here. Files have to be chosen again.`;
    note.append(words, button("Restore", ended(() => restore(form, draft.values))), " ",
      button("Discard", ended(() => { forget(form); keep(form); })));
    form.prepend(note);
    form.closest("details")?.setAttribute("open", "");
  };

  const begin = (form) => {
    original.set(form, JSON.stringify(asSent(form)));
    const draft = read(placeOf(form));
    const done = draft?.sent && document.querySelector("main > .note.good");
    const over = !draft?.values || done || Date.now() - draft.at > KEPT;
    if (over) forget(form);
    else if (JSON.stringify(draft.values) !== JSON.stringify(values(form))) return offer(form, draft);
    return keep(form);
  };

  function follow(each) {
    const near = each.maxLength > 0 && each.value.length > 0.8 * each.maxLength;
    let count = each.parentNode.querySelector(".near");
    if (!near) count?.remove();
    else if (!count) {
      count = document.createElement("p");
      count.className = "hint near";
      each.after(count);
    }
    if (near) count.textContent = `${each.value.length} of ${each.maxLength} characters`;
    const group = each.closest("details[data-sum]");
    if (!group) return;
    const said = [...group.querySelectorAll("[data-empty]")].map(({ dataset, lastElementChild: field }) => {
      const text = (field.selectedOptions?.[0].text ?? field.value).trim();
      return text ? dataset.short + text : dataset.empty;
    });
    group.querySelector(".sums").textContent = said.filter(Boolean).join(" · ");
  }

  const timers = new Map();
  const rest = (form) => { clearTimeout(timers.get(form)); timers.delete(form); };
  document.addEventListener("input", ({ target }) => {
    const { form } = target;
    if (!form || target.type === "file") return;
    follow(target);
    if (!form.matches("[data-draft]")) return;
    clearTimeout(timers.get(form));
    timers.set(form, setTimeout(() => { timers.delete(form); if (form.isConnected) keep(form); }, 400));
  });
  window.addEventListener("pagehide", () => {
    for (const [form, timer] of timers) {
      clearTimeout(timer);
      if (form.isConnected) keep(form);
    }
  });

  async function preview(form, pressed) {
    const old = document.getElementById(pressed.dataset.preview);
    const body = new FormData(form);
    const options = { method: "POST", body, headers: { "X-Form": "script" } };
    form.querySelectorAll("input[type=file]").forEach((input) => body.delete(input.name));
    body.append(pressed.name, pressed.value);
    try {
      const answer = await fetch(form.getAttribute("action"), options);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(old.id);
      fresh.querySelector(".again")?.remove();
      old.replaceWith(fresh);
      fresh.focus();
    } catch {
      old.textContent = "The preview cannot be shown just now. What you typed is still here.";
    }
  }

  // Before page.js, which would mark the form as sent.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.submitter?.dataset.preview) {
      event.preventDefault();
      event.stopPropagation();
      preview(form, event.submitter);
    } else if (form.matches("[data-draft]")) {
      rest(form);
      keep(form, !event.defaultPrevented); // what create.js sends, it tells the fate of
    }
  }, true);
  document.addEventListener("taskrepo:sent", ({ target }) => {
    rest(target);
    if (target.matches("[data-draft]")) forget(target);
  });

  document.querySelectorAll("form[data-draft]").forEach(begin);
})();
