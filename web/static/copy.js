// Comfort only: a button under each block of commands copies it. Without this file they are selected by hand.
"use strict";
(() => {
  if (!navigator.clipboard) return;
  for (const block of document.querySelectorAll("pre[data-copy]")) {
    const line = document.createElement("div");
    const button = document.createElement("button");
    line.className = "copied";
    button.type = "button";
    button.className = "quiet";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy: ${block.dataset.copy}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(block.textContent);
        button.textContent = "Copied";
        window.taskrepo?.announce?.("Copied.");
      } catch {
        button.textContent = "Select it and copy by hand";
      }
    });
    line.append(button);
    block.after(line);
  }
})();
