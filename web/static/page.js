// Comforts of every page: all of them work without this file.
//
// * A form is sent once.
// * Parts marked `data-live` (each with an id of its own) follow the ledger: when something happens that concerns the
//   page, its address is fetched again, and each such part whose content changed is replaced. A part in which somebody
//   is typing is left alone and says that it has changed. While one holds something marked `data-soon`, it is fetched
//   again without an event.
// * `taskrepo.announce(text)` says something to screen readers; the event `taskrepo:updated` tells of a replacement.
"use strict";

(() => {
  const RETRY = [1, 2, 5, 10, 20, 30];
  const WAIT = 25;
  const said = document.getElementById("said");
  const pulse = document.getElementById("pulse");

  // ── forms ─────────────────────────────────────────────────────────────────────────────────────────────────────

  // The hidden request id would make a second sending harmless; this makes it not happen.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    form.setAttribute("aria-busy", "true");
  });

  // What writing.js and review.js keep of what somebody typed goes when they sign out, on whichever page that is.
  document.addEventListener("submit", (event) => {
    if (event.target.getAttribute("action") !== "/logout") return;
    try {
      for (const [store, begin] of [[localStorage, "taskrepo:draft:"], [sessionStorage, "taskrepo.review."]]) {
        Object.keys(store).filter((key) => key.startsWith(begin)).forEach((key) => store.removeItem(key));
      }
    } catch { /* a browser that keeps nothing has nothing to forget */ }
  });

  // A page that comes back from the browser's history may be sent again.
  window.addEventListener("pageshow", () => {
    for (const form of document.forms) {
      delete form.dataset.sent;
      form.removeAttribute("aria-busy");
    }
  });

  // On a phone the navigation scrolls: the place where one is shall be seen.
  const place = document.querySelector(".places [aria-current]");
  if (place) place.parentElement.scrollLeft = place.offsetLeft - place.parentElement.offsetLeft - 48;

  // After a refusal, go to the first field that needs attention.
  const wrong = document.querySelector("[aria-invalid]");
  if (wrong) wrong.focus();

  document.addEventListener("input", (event) => {
    if (event.target.form) event.target.form.dataset.typed = "1";
  });

  // Somebody may have typed before this file had come.
  const changed = (field) => {
    if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
    return field.matches("textarea, input:not([type=hidden])") && field.value !== field.defaultValue;
  };
  for (const form of document.forms) if ([...form.elements].some(changed)) form.dataset.typed = "1";

  // ── what happens on the exchange ──────────────────────────────────────────────────────────────────────────────

  const announce = (text) => {
    if (!said) return;
    said.textContent = "";
    setTimeout(() => { said.textContent = text; }, 50);
  };

  const tell = (state, text) => {
    if (!pulse) return;
    pulse.className = `pulse ${state}`;
    if (pulse.textContent !== text) pulse.textContent = text;
  };

  // Secrets of forms differ each time a page is rendered; they alone are no change.
  const comparable = (part) => {
    const copy = part.cloneNode(true);
    for (const input of copy.querySelectorAll("input[type=hidden]")) {
      if (input.name === "csrf" || input.name === "request_id") input.remove();
    }
    for (const open of copy.querySelectorAll("details")) open.removeAttribute("open");
    for (const note of copy.querySelectorAll(".outdated")) note.remove();
    return copy.innerHTML;
  };

  // What the server sent of each part: what scripts have made of it since is no change either.
  const rendered = new Map();
  for (const part of document.querySelectorAll("[data-live][id]")) rendered.set(part.id, comparable(part));

  const inUse = (part) => {
    const at = document.activeElement;
    if (part.contains(at) && at.matches("input:not([type=hidden]), textarea, select")) return true;
    return [...part.querySelectorAll("form")].some((form) => form.dataset.typed || form.dataset.sent);
  };

  const offer = (part) => {
    if (part.querySelector(":scope > .outdated")) return;
    const note = document.createElement("p");
    const button = document.createElement("button");
    note.className = "note warn outdated";
    note.append("This part has changed. ", button);
    button.type = "button";
    button.textContent = "Show the new one";
    button.addEventListener("click", () => {
      for (const form of part.querySelectorAll("form")) delete form.dataset.typed;
      button.blur();
      refresh();
    });
    part.prepend(note);
    announce("A part of this page in which you are typing has changed.");
  };

  const keepOpen = (old, fresh) => {
    for (const details of old.querySelectorAll("details[id]")) {
      const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
      if (same && details.open) same.open = true;
    }
  };

  const replace = (old, fresh) => {
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const key = focused && (focused.id || focused.getAttribute("href"));
    keepOpen(old, fresh);
    const scrolls = [...old.querySelectorAll(".scroll")].map((block) => block.scrollLeft);
    old.replaceChildren(...fresh.childNodes);
    old.querySelectorAll(".scroll").forEach((block, at) => { block.scrollLeft = scrolls[at] || 0; });
    if (!key) return;
    const escaped = CSS.escape(key);
    const again = focused.id ? old.querySelector(`#${escaped}`) : old.querySelector(`[href="${escaped}"]`);
    if (again) again.focus({ preventScroll: true });
  };

  // The address is fetched again; parts that are gone or new wait for the next whole page.
  const refresh = async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Live": "1" }, cache: "no-store" });
    if (!answer.ok || answer.redirected) return false;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    let changed = false;
    for (const old of document.querySelectorAll("[data-live][id]")) {
      const fresh = page.getElementById(old.id);
      const now = fresh && comparable(fresh);
      if (!fresh || rendered.get(old.id) === now) continue;
      if (inUse(old)) {
        offer(old);
        continue;
      }
      replace(old, document.importNode(fresh, true));
      rendered.set(old.id, now);
      changed = true;
    }
    if (changed) document.dispatchEvent(new CustomEvent("taskrepo:updated"));
    return changed;
  };

  // ── following ─────────────────────────────────────────────────────────────────────────────────────────────────

  const pause = (seconds) => new Promise((done) => { setTimeout(done, seconds * 1000); });

  const visible = () => new Promise((done) => {
    if (!document.hidden) return done();
    const seen = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", seen);
      done();
    };
    return document.addEventListener("visibilitychange", seen);
  });

  let leaving = false;
  window.addEventListener("pagehide", () => { leaving = true; });
  window.addEventListener("pageshow", () => { leaving = false; });

  const ask = async (commit, wait) => {
    const about = document.body.dataset.task;
    const query = new URLSearchParams({ after: commit, wait, ...(about ? { task: about } : {}) });
    const answer = await fetch(`/live?${query}`, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (answer.status === 401 || answer.status === 403) return null;
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  };

  const follow = async () => {
    let commit = document.body.dataset.commit;
    let failures = 0;
    let wait = 0; // at first only what came since the page was made
    for (;;) {
      await visible();
      try {
        const news = await ask(commit, wait);
        wait = WAIT;
        if (news === null) {
          tell("off", "You are signed out: this page no longer updates itself.");
          return;
        }
        if (failures) announce("Connected again.");
        failures = 0;
        tell("on", "Up to date");
        commit = news.commit;
        if (news.events.length) {
          if ((await refresh()) && news.said) announce(news.said);
        }
        if (news.pause) await pause(news.pause);
      } catch {
        wait = 0;
        if (leaving) {
          await pause(1);
          continue;
        }
        tell("off", "Disconnected: what you see may be out of date. Trying again.");
        await pause(RETRY[Math.min(failures, RETRY.length - 1)]);
        failures += 1;
      }
    }
  };

  // What is still being read on the exchange (`data-soon`) is no event: it is looked at again, each time a little later.
  const soon = async (seconds) => {
    await pause(seconds);
    await visible();
    if (!document.querySelector("[data-live] [data-soon]")) return;
    try {
      await refresh();
    } catch { /* the pulse says what is the matter */ }
    soon(Math.min(seconds * 1.5, 10));
  };
  soon(0.5);

  window.taskrepo = { announce, live: { refresh } };
  if (document.body.dataset.commit && document.querySelector("[data-live]")) follow();
})();
