// Maintenance: while work goes on, the page looks again every second and says when it has ended.
"use strict";

(() => {
  const EVERY = 1000;
  const going = () => document.querySelector("#works [data-going]");
  if (!going() || !window.taskrepo) return;

  const look = async () => {
    try {
      if (!document.hidden) await window.taskrepo.live.refresh();
    } catch {
      // The server may be away for a moment; the next look tells.
    }
    if (going()) {
      setTimeout(look, EVERY);
    } else {
      window.taskrepo.announce("The work has ended. What came of it is shown.");
    }
  };

  setTimeout(look, EVERY);
})();
