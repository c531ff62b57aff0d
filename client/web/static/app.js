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

// -- the server may be away: one calm line says so, and whatever answers next takes it back

const AWAY = "Sendgate cannot be reached. What stands here is as it was, and catches up by itself.";
const SIGNED_OUT = "You are signed out, so this page does not keep up any more. Load it again to sign in.";
const NOT_SENT = "Sendgate cannot be reached, so nothing was sent. What you typed is still here: try again in a moment.";
const PATIENCE_MS = 10_000;

function tell(sentence) {
  const line = document.getElementById("reach");
  if (line.textContent !== sentence) line.textContent = sentence; // said once, not at every look
}

// A form goes off only when somebody is there to take it: else the browser's own page would take the place of what was typed.
let knocking = false, passing = false, gone;

document.addEventListener("submit", async (event) => {
  const form = event.target, button = event.submitter;
  if (form.method !== "post") return;
  if (passing) {
    // Until there is an answer it is not sent again; unless that takes long, for somebody may have stopped it.
    gone = setTimeout(arrived, PATIENCE_MS);
    return;
  }
  event.preventDefault();
  if (knocking || gone) return;
  knocking = true;
  try {
    const icon = document.querySelector("link[rel=icon]").href;
    const answer = await fetch(icon, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.status >= 500) return tell(NOT_SENT); // of what stands before Sendgate
  } catch (error) {
    // One who only takes long may still answer: a stop is never held back for that.
    if (error.name !== "TimeoutError") return tell(NOT_SENT);
  } finally {
    knocking = false;
  }
  tell("");
  passing = true;
  form.requestSubmit(button);
  passing = false;
});

function arrived() {
  clearTimeout(gone);
  gone = undefined;
}

window.addEventListener("pageshow", arrived); // also when somebody has gone back to it

// -- pages that keep up: the parts marked data-live are taken from the page as it is now, and changed where they differ

const POLL_MS = 2000;
const menuIsOpen = () => document.querySelector("details[data-menu][open]") !== null;
let asking = false, missed = false, again;

async function refresh() {
  if (document.hidden) return; // whoever looks at it again asks
  missed = asking || menuIsOpen(); // what somebody is about to press stays where it is
  if (missed) return;
  asking = true;
  clearTimeout(again);
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE_MS) });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.status >= 500) throw new Error(answer.statusText); // the database, or what stands before us
    tell(answer.redirected ? SIGNED_OUT : ""); // nothing else leads elsewhere from a page that keeps up
    missed ||= menuIsOpen();
    if (!answer.ok || answer.redirected || missed) return;
    for (const part of document.querySelectorAll("[data-live]")) {
      const now = part.id && fresh.getElementById(part.id);
      if (now) morph(part, now);
    }
  } catch {
    tell(AWAY);
    again = setTimeout(refresh, POLL_MS);
  } finally {
    asking = false;
    if (missed) refresh(); // or, while a menu is open, as it closes
  }
}

document.addEventListener("toggle", (event) => {
  if (missed && event.target.matches("details[data-menu]:not([open])")) refresh();
}, true);

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

const stream = document.querySelector("[data-stream]"), polled = document.querySelector("[data-live=poll]");

// All windows of a browser share six connections to a host (HTTP/1.1), and a stream keeps one for as long as it is open:
// six of them, and no click anywhere goes through. So there is one. The window that came up last has it, others in sight
// ask every now and then, and what nobody sees asks nothing.
const windows = new BroadcastChannel("stream");
let events;

function follow() {
  if (events || document.hidden || !stream?.dataset.stream) return; // a message that is over has none any more
  windows.postMessage("mine now");
  const mine = events = new EventSource(stream.dataset.stream);
  mine.addEventListener("change", refresh);
  mine.addEventListener("end", () => { unfollow(); refresh(); });
  mine.addEventListener("error", () => {
    refresh(); // which says whether somebody is there
    // The browser connects again by itself, but not after an answer that is an error.
    if (mine === events && mine.readyState === EventSource.CLOSED) {
      unfollow();
      setTimeout(follow, POLL_MS);
    }
  });
}

function unfollow() {
  events?.close();
  events = undefined;
}

windows.addEventListener("message", unfollow);
window.addEventListener("focus", follow);
window.addEventListener("pagehide", unfollow);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return unfollow();
  follow();
  if (stream || polled) refresh();
});
follow();
const looking = setInterval(() => { if (polled || (stream?.dataset.stream && !events)) refresh(); }, POLL_MS);
