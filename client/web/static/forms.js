// What forms say while they are filled in: a count, a plan. Each has a button for it, too, which needs no script.
"use strict";

document.documentElement.classList.add("has-script");

const PAUSE_MS = 600; // of the typing
const NOT_SHOWN = "This cannot be worked out as things are now. Load the page again to see why.";

for (const asking of document.querySelectorAll("[data-ask]")) {
  const form = asking.closest("form");
  let waiting, sent = 0;
  asking.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, PAUSE_MS);
  });

  // The form's own answer to the button, of which one part is taken. Only the fields that it is about go along.
  async function ask() {
    const number = ++sent, body = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      const fields = [...form.querySelectorAll(`[name="${CSS.escape(name)}"]`)];
      if (name === "csrf" || fields.some((field) => asking.contains(field))) body.append(name, value);
    }
    body.set("do", asking.dataset.ask);
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const part = page.getElementById(asking.dataset.answer), here = document.getElementById(asking.dataset.answer);
      if (number !== sent) return; // asked again meanwhile
      if (part) here.replaceChildren(...document.importNode(part, true).childNodes);
      tell(part ? "" : NOT_SHOWN);
    } catch {
      tell(AWAY);
    }
  }

  if ("atOnce" in asking.dataset) ask(); // what takes too long to wait for the page
}

for (const drop of document.querySelectorAll("[data-drop]")) {
  const input = drop.querySelector("input[type=file]");
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    input.files = event.dataTransfer.files;
  });
}
