// Comforts of the ledger's pages: all of them work without this file.
//
// * A part marked `data-again` (with an id of its own) is something under way: its address is asked again until it is
//   done, each time a little later, and not while nobody looks.
// * Each shown command gets a button that copies it.
"use strict";

(() => {
  const FIRST = 1000;
  const LAST = 10000;
  let pause = FIRST;

  const again = async () => {
    const part = document.querySelector("[data-again]");
    if (!part) return;
    if (!document.hidden) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById(part.id);
        if (!fresh) {
          location.reload();
          return;
        }
        part.replaceWith(document.adoptNode(fresh));
        if (!fresh.hasAttribute("data-again") && window.taskrepo) window.taskrepo.announce("Done.");
      } catch {
        pause = LAST;
      }
    }
    pause = Math.min(pause * 1.3, LAST);
    setTimeout(again, pause);
  };
  setTimeout(again, pause);

  if (!navigator.clipboard) return;
  for (const shown of document.querySelectorAll(".commands li")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy: ${shown.textContent.trim()}`);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(shown.querySelector("code").textContent);
      button.textContent = "Copied";
      if (window.taskrepo) window.taskrepo.announce("Copied.");
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    shown.append(button);
  }
})();
