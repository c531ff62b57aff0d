// What forms and links cannot do alone: pages that keep up with a send, and menus that open before they are clicked.
// Everything works without it: menus are disclosures of links, and loading a page again shows the present.
"use strict";

// -- menus: open by pointing, focus and keys; Escape closes

const menus = () => document.querySelectorAll("details[data-menu]");
let closing;

function open(menu) {
  clearTimeout(closing);
  for (const other of menus()) if (other !== menu) other.open = false;
  menu.open = true;
}

document.addEventListener("pointerover", (event) => {
  if (event.pointerType !== "mouse") return;
  const menu = event.target.closest("details[data-menu]");
  if (menu) open(menu);
});
document.addEventListener("pointerout", (event) => {
  const menu = event.target.closest("details[data-menu]");
  if (event.pointerType !== "mouse" || !menu || menu.contains(event.relatedTarget)) return;
  closing = setTimeout(() => { if (!menu.contains(document.activeElement)) menu.open = false; }, 250);
});
document.addEventListener("click", (event) => {
  const menu = event.target.closest("details[data-menu]");
  // Pointing has opened it already: a click with the mouse must not close it under the pointer.
  if (menu && event.detail > 0 && event.target.closest("summary") && event.pointerType === "mouse") {
    event.preventDefault();
    open(menu);
  }
  for (const other of menus()) if (other !== menu) other.open = false;
});
document.addEventListener("focusin", (event) => {
  const menu = event.target.closest("details[data-menu]");
  if (menu && event.target.matches("summary:focus-visible") && !menu.dataset.dismissed) open(menu);
  for (const other of menus()) {
    if (other === menu) continue;
    other.open = false;
    delete other.dataset.dismissed;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const shown = document.querySelector(".when:hover, .when:focus-within");
    if (shown) {
      shown.classList.add("dismissed");
      const back = () => shown.classList.remove("dismissed");
      shown.addEventListener("pointerleave", back, { once: true });
      shown.addEventListener("focusout", back, { once: true });
    }
  }
  const menu = event.target.closest("details[data-menu]") || (event.key === "Escape" && document.querySelector("details[data-menu][open]"));
  if (!menu) return;
  const summary = menu.querySelector("summary"), links = [...menu.querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  const to = { ArrowDown: (at + 1) % links.length, ArrowUp: (at <= 0 ? links.length : at) - 1, Home: 0, End: links.length - 1 }[event.key];
  if (event.key === "Escape") {
    menu.open = false;
    if (menu.contains(document.activeElement)) {
      menu.dataset.dismissed = "yes"; // until the focus goes elsewhere
      summary.focus();
    }
  } else if (to !== undefined) {
    open(menu);
    links[to].focus();
  } else return;
  event.preventDefault();
});

// -- pages that keep up: the parts marked data-live are taken from the page as it is now, and changed where they differ

const POLL_MS = 2000;
let asking = false;

async function refresh() {
  // What somebody is about to press stays where it is.
  if (asking || document.hidden || document.querySelector("details[data-menu][open]")) return;
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok || answer.redirected || document.querySelector("details[data-menu][open]")) return;
    for (const part of document.querySelectorAll("[data-live]")) {
      const now = part.id && fresh.getElementById(part.id);
      if (now) morph(part, now);
    }
  } catch {
    // The server is away: the next look may find it.
  } finally {
    asking = false;
  }
}

function morph(old, now) {
  for (const { name, value } of [...now.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  const before = [...old.childNodes], after = [...now.childNodes];
  const byId = new Map(before.filter((node) => node.id).map((node) => [node.id, node]));
  let place = old.firstChild;
  for (const node of after) {
    const kept = node.id ? byId.get(node.id) : place && !place.id && same(place, node) ? place : null;
    if (kept && same(kept, node)) {
      if (kept === place) place = place.nextSibling;
      else old.insertBefore(kept, place);
      if (kept.nodeType === Node.ELEMENT_NODE) morph(kept, node);
      else if (kept.nodeValue !== node.nodeValue) kept.nodeValue = node.nodeValue;
    } else old.insertBefore(document.importNode(node, true), place);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName;

const stream = document.querySelector("[data-stream]");
if (stream) {
  const events = new EventSource(stream.dataset.stream);
  events.addEventListener("change", refresh);
  events.addEventListener("end", () => { events.close(); refresh(); });
} else if (document.querySelector("[data-live=poll]")) setInterval(refresh, POLL_MS);
document.addEventListener("visibilitychange", () => { if (stream || document.querySelector("[data-live=poll]")) refresh(); });
