// Keeps a page that says data-live fresh: fetches it again and swaps <main>.
// Without script the page still refreshes itself; nothing is lost but smoothness.
"use strict";
(() => {
  const main = document.querySelector("main[data-live]");
  if (!main) return;
  const seconds = Number(main.dataset.live) || 5;
  const busy = () =>
    document.hidden || document.querySelector("main details[open]") ||
    (document.activeElement && document.querySelector("main").contains(document.activeElement));
  setInterval(async () => {
    if (busy()) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = fresh.querySelector("main");
      if (next && !busy()) document.querySelector("main").replaceWith(next);
    } catch (error) {
      document.body.classList.add("stale");
      return;
    }
    document.body.classList.remove("stale");
  }, seconds * 1000);
})();
