// The reviewer's page: single keys, kept reasons and ticks. The page works without this file.
//
// * No key does anything while somebody types, or together with Ctrl, Alt or Meta; the keys can be switched off, and
//   this browser remembers it (WCAG 2.2, 2.1.4).
// * Ticks, and words typed and not sent, stay in this browser for as long as its window is open.
"use strict";

(() => {
  const OFF = "taskrepo.review.keys-off";
  const who = document.body.dataset.actor; // the next one at this device is somebody else
  const find = (id) => document.getElementById(id);
  const announce = (text) => { if (window.taskrepo) window.taskrepo.announce(text); };

  // Storage may be closed to pages; then nothing is remembered.
  const stored = (store, key) => { try { return window[store].getItem(key); } catch { return null; } };
  const remember = (store, key, value) => {
    try {
      if (value) window[store].setItem(key, value);
      else window[store].removeItem(key);
    } catch { /* not remembered */ }
  };

  // ── keys ──────────────────────────────────────────────────────────────────────────────────────────────────────

  const list = find("keyboard");
  const toggle = find("keys-on");
  const hint = find("key-hint");
  const approve = find("approve");

  const on = () => !toggle || toggle.checked;
  if (list) list.hidden = false;
  if (toggle) {
    toggle.checked = !stored("localStorage", OFF);
    toggle.addEventListener("change", () => remember("localStorage", OFF, toggle.checked ? "" : "1"));
  }

  const tell = (text) => {
    if (!hint) return;
    hint.textContent = text;
    hint.hidden = !text;
    if (text) announce(text);
  };

  const unfold = (details) => {
    for (const other of document.querySelectorAll(".review-panel[open]")) other.open = other === details;
    details.open = true;
    const field = details.querySelector("textarea, input:not([type=hidden])");
    if (field) field.focus();
  };

  const press = (target) => {
    if (target.matches("details")) unfold(target);
    else if (target.matches("a")) target.click();
    else {
      target.focus();
      tell("Press Enter to approve.");
    }
  };

  const showKeys = () => {
    if (!list) return;
    list.open = true;
    list.querySelector("summary").focus();
    list.scrollIntoView({ block: "center" });
  };

  const openFile = () => {
    const link = document.querySelector("#made-files a[href]");
    if (link) link.click();
    else announce("This submission has no file.");
  };

  const leave = (field) => {
    field.blur();
    const main = find("main");
    if (main) main.focus({ preventScroll: true });
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const field = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select");
    if (field) {
      if (event.key === "Escape") leave(field);
      return;
    }
    // Who means to type, and is in no field after all, must not approve by the first space after an "a".
    if (event.key === " " && event.target === approve && !hint.hidden) event.preventDefault();
    if (!on() || event.repeat) return;
    const target = /^[a-z]$/.test(event.key) && document.querySelector(`[data-key~="${event.key}"]`);
    if (target) press(target);
    else if (event.key === "o") openFile();
    else if (event.key === "?") showKeys();
    else return;
    event.preventDefault();
  });

  if (approve) approve.addEventListener("blur", () => tell(""));

  // ── kept reasons ──────────────────────────────────────────────────────────────────────────────────────────────

  const reason = find("reject-reason");
  const template = find("reject-template");
  const insert = find("insert-reason");
  const missing = find("list-missing");

  const add = (text) => {
    reason.value = reason.value.trim() ? `${reason.value.trimEnd()}\n\n${text}` : text;
    reason.dispatchEvent(new Event("input", { bubbles: true }));
    reason.focus();
  };

  if (reason && template && insert) {
    insert.hidden = false;
    insert.addEventListener("click", () => {
      const chosen = template.selectedOptions[0];
      if (chosen && chosen.dataset.text) add(chosen.dataset.text);
      else template.focus();
    });
  }

  // ── words not sent ────────────────────────────────────────────────────────────────────────────────────────────

  const bar = document.querySelector("[data-words]");
  const wordsOf = (area) => `taskrepo.review.words/${who}/${bar.dataset.words}/${area.id}`;
  if (bar) {
    for (const area of bar.querySelectorAll("textarea")) {
      const kept = stored("sessionStorage", wordsOf(area));
      if (!kept || area.value.trim()) continue;
      area.value = kept;
      area.closest("details").open = true;
    }
    bar.addEventListener("input", (event) => {
      if (event.target.matches("textarea")) remember("sessionStorage", wordsOf(event.target), event.target.value);
    });
    bar.addEventListener("submit", (event) => {
      for (const area of event.target.querySelectorAll("textarea")) remember("sessionStorage", wordsOf(area), "");
    });
  }

  // ── ticks ─────────────────────────────────────────────────────────────────────────────────────────────────────

  const checks = document.querySelector("[data-checks]");
  if (!checks) return;
  const boxes = [...checks.querySelectorAll("input[type=checkbox]")];
  const key = `taskrepo.review.ticks/${who}/${checks.dataset.checks}`;
  const ticked = (stored("sessionStorage", key) || "").split(" ");
  const keepTicks = () => {
    remember("sessionStorage", key, boxes.filter((box) => box.checked).map((box) => box.id).join(" "));
  };
  const early = boxes.some((box) => box.checked); // before this file had come
  for (const box of boxes) box.checked ||= ticked.includes(box.id);
  if (early) keepTicks();
  checks.addEventListener("change", keepTicks);
  if (reason && missing) {
    missing.hidden = false;
    missing.addEventListener("click", () => {
      const left = boxes.filter((box) => !box.checked);
      const told = left.map((box) => `- ${box.closest("label").textContent.trim().replace(/\s+/g, " ")}`);
      if (told.length) add(`Not met:\n\n${told.join("\n")}`);
      else announce("Every criterion is ticked.");
    });
  }
})();
