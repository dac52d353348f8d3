// Forms with files. Comforts only: every form works without this file.
//
// data-drop="FIELD"  files and folders are dropped on the form or chosen, listed, taken out again, and sent with their
//                    progress; a refusal is shown in place, and what was chosen stays chosen. A box is the .field of a
//                    file input, or a data-zone around several. FIELD takes what is dropped beside the boxes.
// data-drop-package  on such a form as well: an archive dropped beside the boxes of any form is sent by this one.
//
// A form that was sent and taken fires `taskrepo:sent`. What is typed is the matter of writing.js. What somebody chose
// before this file had come is taken over when it comes.
"use strict";

(() => {
  const MOST = 5000;
  const SHOWN = 100;
  const HERE = "What you typed and chose is still here.";
  const say = (text) => window.taskrepo?.announce?.(text);
  const count = (n) => `${n} ${n === 1 ? "file" : "files"}`;
  const address = (form) => form.getAttribute("action");
  const parsed = (text) => new DOMParser().parseFromString(text, "text/html");
  const make = (tag, set, ...inside) => {
    const made = Object.assign(document.createElement(tag), set);
    made.append(...inside);
    return made;
  };
  const button = (text, work, more = "") => {
    const made = make("button", { type: "button", className: "quiet" }, text);
    if (more) made.append(make("span", { className: "unseen" }, ` ${more}`));
    made.addEventListener("click", work);
    return made;
  };
  const progress = (max, label) => {
    const bar = make("progress", { max, value: 0 });
    bar.setAttribute("aria-label", label);
    return bar;
  };
  const size = (n) => {
    const at = n < 1000 ? 0 : n < 999.5e3 ? 1 : n < 999.5e6 ? 2 : 3;
    return at ? `${(n / 1000 ** at).toFixed(1)} ${["", "kB", "MB", "GB"][at]}` : `${n} B`;
  };
  const bytes = (list) => list.reduce((sum, item) => sum + item.file.size, 0);
  const tell = (form, text) => {
    form.parentNode.querySelectorAll(":scope > .refused").forEach((old) => old.remove());
    const note = make("div", { className: "note bad refused", tabIndex: -1, role: "alert" }, make("p", {}, text));
    form.before(note);
    note.focus();
  };

  // What was chosen: by the form's address, so that it outlives a form that an answer replaces.
  const all = new Map();
  const chosen = (form) => all.get(address(form)) ?? [];
  const forms = () => [...document.querySelectorAll("form[data-drop]")];
  const inputs = (within) => [...within.querySelectorAll("input[type=file]")];
  const boxOf = (input) => input.closest("[data-zone]") || input.closest(".field");
  const boxAt = (form, target) => inputs(form).map(boxOf).find((box) => box.contains(target));

  const add = (form, name, found) => {
    const single = !inputs(form).find((input) => input.name === name)?.multiple;
    const known = new Map();
    for (const item of chosen(form)) if (!single || item.name !== name) known.set(`${item.name}/${item.path}`, item);
    for (const item of found) known.set(`${name}/${item.path}`, { ...item, name });
    all.set(address(form), [...known.values()].slice(0, MOST));
    form.dataset.typed = "1"; // to page.js, which then leaves the form where it is
    dress(form);
    say(`${count(found.length)} added, ${chosen(form).length} in all.`);
    if (known.size > MOST) tell(form, `Only ${MOST} files were taken; send the rest as one archive.`);
  };

  const remove = (form, gone) => {
    all.set(address(form), chosen(form).filter((item) => !gone.includes(item)));
    dress(form);
    say(`${gone.length === 1 ? gone[0].path : count(gone.length)} removed.`);
    inputs(form).find((input) => input.name === gone[0].name)?.focus();
  };

  const row = (form, item) => {
    item.bar = progress(item.file.size || 1, `${item.path}, sent`);
    item.bar.hidden = true;
    const name = make("span", { className: "path" }, item.path);
    const made = make("li", {}, name, " ", make("span", { className: "meta" }, size(item.file.size)), item.bar);
    made.append(button("Remove", () => remove(form, [item]), item.path));
    if (item.fault) made.append(make("p", { className: "error" }, item.fault));
    return made;
  };

  function dress(form) {
    form.querySelectorAll(".dropping").forEach((hint) => { hint.hidden = false; });
    for (const box of new Set(inputs(form).map(boxOf))) {
      const mine = chosen(form).filter((item) => inputs(box).some((input) => input.name === item.name));
      box.querySelector(".chosen")?.remove();
      for (const input of inputs(box)) {
        if (input.required) input.dataset.needed = "";
        input.required = "needed" in input.dataset && !mine.length;
      }
      if (!mine.length) continue;
      const rows = mine.slice(0, SHOWN).map((item) => row(form, item));
      const rest = mine.length > SHOWN ? `; the first ${SHOWN} are listed` : "";
      const last = make("p", { className: "meta" }, `${count(mine.length)}, ${size(bytes(mine))}${rest}`);
      if (mine.length > 1) last.append(" ", button("Remove all", () => remove(form, mine)));
      box.append(make("div", { className: "chosen" }, make("ul", { className: "files" }, ...rows), last));
    }
  }

  const take = (target) => {
    if (target.type !== "file" || !target.form?.matches("[data-drop]") || !target.files.length) return;
    const found = [...target.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
    add(target.form, target.name, found);
    target.value = "";
  };
  document.addEventListener("change", ({ target }) => take(target));

  // Dropping.
  const aim = (target) => {
    const plain = forms().filter((form) => !form.matches("[data-drop-package]"));
    return target.closest?.("form[data-drop]") || (plain.length > 1 ? null : plain[0] || forms()[0]);
  };
  const mark = (place) => {
    document.querySelectorAll(".over").forEach((each) => each.classList.remove("over"));
    place?.classList.add("over");
  };
  const walk = async (entry, found) => {
    if (found.length > MOST || entry.name === ".DS_Store") return;
    if (entry.isFile) {
      const file = await new Promise((yes, no) => entry.file(yes, no));
      found.push({ file, path: entry.fullPath.slice(1) });
      return;
    }
    const reader = entry.createReader();
    for (let part; (part = await new Promise((yes, no) => reader.readEntries(yes, no))).length;) {
      for (const each of part) await walk(each, found);
    }
  };
  const read = async (items) => {
    const found = [];
    for (const [entry, file] of items) {
      if (entry) await walk(entry, found);
      else found.push({ file, path: file.name });
    }
    return found;
  };
  const brings = (event) => forms().length && event.dataTransfer?.types.includes("Files");

  document.addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    const form = aim(event.target);
    mark(form && (boxAt(form, event.target) || form));
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || mark());
  document.addEventListener("drop", async (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    mark();
    const form = aim(event.target);
    if (!form || form.ariaBusy === "true") return;
    const box = boxAt(form, event.target);
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    try {
      const found = await read(items.map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]));
      const parcel = document.querySelector("form[data-drop-package]");
      const packed = found.length === 1 && /\.(zip|tar\.gz|tgz)$/i.test(found[0].path);
      if (parcel && packed && (!box || form === parcel)) {
        add(parcel, parcel.dataset.drop, found);
        parcel.requestSubmit();
      } else if (found.length) add(form, box ? inputs(box)[0].name : form.dataset.drop, found);
    } catch {
      tell(form, "What you dropped cannot be read. Nothing of it was added.");
    }
  });

  // Sending.
  const body = (form, pressed, list) => {
    const data = new FormData(form);
    inputs(form).forEach((input) => data.delete(input.name));
    if (pressed?.name) data.append(pressed.name, pressed.value);
    for (const item of list) data.append(item.name, item.file, item.path);
    return data;
  };

  function send(form, pressed) {
    const list = chosen(form);
    const request = new XMLHttpRequest();
    const bar = progress(100, "Sent of everything");
    const words = make("span", { className: "meta" }, "Sending");
    const strip = make("p", { className: "sending" }, bar, words, button("Cancel", () => request.abort()));
    const data = body(form, pressed, list);
    const under = (way) => {
      form.ariaBusy = way ? "true" : null;
      form.querySelectorAll("button").forEach((each) => { each.disabled = way; });
      list.forEach((item) => { if (item.bar) item.bar.hidden = !way; });
    };
    const ended = (work) => () => { strip.remove(); under(false); work(); };
    let told = 0;
    under(true);
    form.append(strip);
    strip.lastChild.focus();
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      let left = Math.max(0, loaded - (total - bytes(list)));
      for (const item of list) {
        if (item.bar) item.bar.value = Math.min(left, item.file.size);
        left = Math.max(0, left - item.file.size);
      }
      bar.value = Math.floor(100 * loaded / total);
      words.textContent = loaded < total ? `${size(loaded)} of ${size(total)}` : "Sent. The exchange looks at it.";
      if (bar.value >= told + 25) say(`${told = bar.value - bar.value % 25}% sent.`);
    });
    request.addEventListener("error", ended(() => tell(form, `The exchange did not answer. ${HERE} Send it again.`)));
    request.addEventListener("abort", ended(() => tell(form, `Cancelled. ${HERE}`)));
    request.addEventListener("load", ended(() => {
      const place = request.status === 204 && request.getResponseHeader("Location");
      if (place) leave(form, new URL(place, location.href));
      else show(form, parsed(request.responseText));
    }));
    request.open("POST", address(form));
    request.setRequestHeader("X-Form", "script");
    request.send(data);
  }

  function leave(form, place) {
    form.dispatchEvent(new CustomEvent("taskrepo:sent", { bubbles: true }));
    all.delete(address(form));
    form.ariaBusy = "true"; // until the other page is there
    const same = place.pathname + place.search === location.pathname + location.search;
    if (!same) location.assign(place);
    else {
      history.replaceState(null, "", place); // one request alone: the first would use the message up
      location.reload();
    }
  }

  function show(form, answer) {
    const fresh = [...answer.querySelectorAll("form[data-drop]")].find((each) => address(each) === address(form));
    const note = answer.querySelector("main .refused");
    if (!fresh || !note) {
      const said = (note ?? answer.querySelector("main"))?.textContent.trim().replace(/\s+/g, " ").slice(0, 400);
      tell(form, `${said || "The exchange failed."} ${HERE}`);
      return;
    }
    document.querySelectorAll("main .refused").forEach((old) => old.remove());
    note.querySelector(".again")?.replaceChildren(HERE);
    form.replaceWith(fresh);
    fresh.before(note);
    const { path, why } = note.dataset;
    for (const item of chosen(fresh)) {
      const meant = path && (item.path === path || path.endsWith(`/${item.path}`));
      item.fault = meant ? why : "";
    }
    dress(fresh);
    note.focus();
  }

  // Before page.js, which would mark the form as sent.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-drop]") || event.submitter?.dataset.preview) return;
    event.preventDefault();
    event.stopPropagation();
    if (form.ariaBusy !== "true") send(form, event.submitter);
  }, true);

  for (const form of forms()) {
    dress(form);
    inputs(form).forEach(take);
  }
})();
