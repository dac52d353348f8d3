// The task page's comforts: a lease that counts down, ids and commands that copy with one press, and a whole print.
"use strict";

(() => {
  const UNITS = [[86400, "day", "days"], [3600, "hour", "hours"], [60, "min", "min"], [1, "s", "s"]];
  const leases = new WeakMap();

  // The two largest units: 2 hours 5 min, 3 min 20 s, 45 s.
  const words = (seconds) => {
    const parts = [];
    let rest = seconds;
    for (const [unit, one, many] of UNITS) {
      const count = Math.floor(rest / unit);
      rest -= count * unit;
      if (count || (parts.length && parts.length < 2)) parts.push(`${count} ${count === 1 ? one : many}`);
      if (parts.length === 2) break;
    }
    return parts.join(" ") || "0 s";
  };

  // The server's clock counts: what this device's clock differs from it is measured once, when the part arrives.
  const skew = (lease) => {
    const key = lease.dataset.now;
    const known = leases.get(lease);
    if (known && known.key === key) return known;
    const fresh = { key, ahead: Date.parse(key) - Date.now(), told: false };
    leases.set(lease, fresh);
    return fresh;
  };

  const tick = () => {
    const lease = document.querySelector(".lease[data-until]");
    const shown = lease && lease.querySelector(".left");
    if (!shown || lease.dataset.paused) return;
    const known = skew(lease);
    const left = Math.ceil((Date.parse(lease.dataset.until) - Date.now() - known.ahead) / 1000);
    const urgent = left * 10 <= Number(lease.dataset.seconds);
    lease.classList.toggle("urgent", urgent && left > 0);
    lease.classList.toggle("over", left <= 0);
    if (left <= 0) shown.textContent = "it has run out; the exchange takes the task back shortly";
    else shown.textContent = `in ${words(left)}${urgent ? ", ends soon" : ""}`;
    if (urgent && left > 0 && !known.told && lease.dataset.mine && window.taskrepo) {
      window.taskrepo.announce(`Your lease ends in ${words(left)}.`);
      known.told = true;
    }
  };

  // Without the clipboard's permission, as over plain http, the text is selected and copied the old way.
  const copied = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "unseen";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const done = await copied(button.dataset.copy);
    button.focus({ preventScroll: true });
    button.textContent = done ? "Copied" : "Not copied";
    if (window.taskrepo) window.taskrepo.announce(done ? "Copied." : "It could not be copied.");
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });

  // On paper nothing can be unfolded; forms are not printed.
  let unfolded = [];
  window.addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("main details:not([open])")];
    for (const details of unfolded) details.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const details of unfolded) details.open = false;
    unfolded = [];
  });

  document.documentElement.classList.add("scripted");
  document.addEventListener("taskrepo:updated", tick);
  setInterval(tick, 1000);
  tick();
})();
