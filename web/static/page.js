// Comforts only: every page works without this file.
"use strict";

// A form is sent once; the hidden request id would make a second sending harmless, this makes it not happen.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  form.setAttribute("aria-busy", "true");
});

// A page that comes back from the browser's history may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.forms) {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
  }
});

// After a refusal, go to the first field that needs attention.
const wrong = document.querySelector("[aria-invalid]");
if (wrong) wrong.focus();
