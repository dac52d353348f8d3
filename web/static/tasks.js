// The list of tasks, by keyboard: every key here does what a link or a field does as well.
//
// * `/` goes to the search; j and k (on a task also the arrows) to the next and the previous task; h and l, on the
//   board, to the column beside. Enter on a task is a link's own.
// * Nothing happens while somebody types, or with a modifier; the keys can be switched off (WCAG 2.1.4).
// * Empty fields of the form are not sent, so that addresses stay short.
"use strict";

(() => {
  const KEPT = "taskrepo-keys";
  const listing = document.getElementById("listing");
  const search = document.getElementById("q");
  const details = document.getElementById("keys");
  const choice = document.getElementById("keys-on");
  if (!listing || !search || !details || !choice) return;

  // A browser may keep nothing for this site: the keys are then on each time.
  const remembered = () => {
    try {
      return localStorage.getItem(KEPT) !== "off";
    } catch {
      return true;
    }
  };

  const remember = (on) => {
    try {
      localStorage.setItem(KEPT, on ? "on" : "off");
    } catch {
      // Then they stay as chosen until the page is left.
    }
  };

  const titles = () => [...listing.querySelectorAll("a.title")];

  const step = (by) => {
    const all = titles();
    const at = all.indexOf(document.activeElement);
    const next = at < 0 ? all[by > 0 ? 0 : all.length - 1] : all[at + by];
    if (next) next.focus();
  };

  const beside = (by) => {
    const lanes = [...listing.querySelectorAll(".lane")].filter((lane) => lane.querySelector("a.title"));
    const lane = document.activeElement.closest(".lane");
    const at = lanes.indexOf(lane);
    const place = lane ? [...lane.querySelectorAll("a.title")].indexOf(document.activeElement) : 0;
    const next = lanes[at < 0 ? 0 : at + by];
    if (!next) return;
    const there = [...next.querySelectorAll("a.title")];
    there[Math.max(0, Math.min(place, there.length - 1))].focus();
  };

  const KEYS = { j: () => step(1), k: () => step(-1), h: () => beside(-1), l: () => beside(1) };
  const ON_A_TASK = { ArrowDown: KEYS.j, ArrowUp: KEYS.k, ArrowLeft: KEYS.h, ArrowRight: KEYS.l };

  const typing = (at) => at.isContentEditable || at.matches("input:not([type=checkbox]), textarea, select");

  document.addEventListener("keydown", (event) => {
    if (!choice.checked || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = document.activeElement || document.body;
    if (typing(at)) return;
    const onTask = at.matches("#listing a.title");
    const board = listing.querySelector(".board");
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
      search.select();
      return;
    }
    const act = KEYS[event.key] || (onTask ? ON_A_TASK[event.key] : undefined);
    const sideways = act === KEYS.h || act === KEYS.l;
    if (!act || (sideways && !board)) return;
    event.preventDefault();
    act();
  });

  search.form.addEventListener("submit", () => {
    for (const field of search.form.elements) field.disabled = field.name !== "" && field.value === "";
    setTimeout(() => {
      for (const field of search.form.elements) field.disabled = false;
    }, 0);
  });

  // On a narrow screen the views and the states are rows that scroll: what is chosen should be in sight.
  const show = () => {
    for (const chosen of document.querySelectorAll(".views [aria-current], #counts [aria-current]")) {
      const row = chosen.closest("ul, nav");
      row.scrollLeft = chosen.offsetLeft - row.offsetLeft - 24;
    }
  };

  show();
  choice.checked = remembered();
  choice.addEventListener("change", () => remember(choice.checked));
  details.hidden = false;
})();
