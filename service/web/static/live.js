// Keeps a page that says data-live fresh: when the server tells that something happened, or every
// few seconds where it cannot tell, fetches the page again and swaps <main>.
// Without script the page refreshes itself; nothing is lost but smoothness.
"use strict";
(() => {
  const main = () => document.querySelector("main[data-live]");
  if (!main()) return;
  const seconds = Number(main().dataset.live) || 5;
  let due = false, last = 0, seen = null, told = false;
  const busy = () =>
    document.hidden || document.querySelector("main details[open]") ||
    (document.activeElement && document.activeElement !== main() &&
      main().contains(document.activeElement));
  const refresh = async () => {
    due = false;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = fresh.querySelector("main[data-live]") || fresh.querySelector("main");
      if (!next) return;
      if (busy()) { due = true; return; }
      main().replaceWith(next);
      if (!main()) { events && events.close(); clearInterval(timer); }
    } catch (error) {
      document.body.classList.add("stale");
      return;
    }
    document.body.classList.remove("stale");
  };
  const events = "EventSource" in window ? new EventSource("/live") : null;
  if (events) {
    events.onmessage = (event) => {
      told = true;
      if (seen !== null && seen !== event.data) due = true;
      seen = event.data;
    };
    events.onerror = () => { told = false; };
  }
  // What the server tells is shown within a second; ages and distances move on every so often.
  const timer = setInterval(() => {
    const patience = told ? 10 * seconds : seconds;
    if (Date.now() - last > 1000 * patience) due = true;
    if (due && !busy() && Date.now() - last >= 900) refresh();
  }, 300);
  last = Date.now();
})();
