// What htmx has no attribute for: when a page must be left alone, and that it says when it is stale.
// A page is left alone while it is hidden, a form in it is in use or half filled, or a detail is open.
"use strict";
(() => {
  const main = document.getElementById("main");
  let due = false;
  const typed = (field) =>
    field.value !== field.defaultValue || field.checked !== field.defaultChecked;
  const busy = () =>
    document.hidden || main.querySelector("details[open], form:focus-within") !== null ||
    [...main.querySelectorAll("input, textarea")].some(typed);
  const now = () => setTimeout(() => htmx.trigger(main, "due"));
  const later = () => due && now();
  main.addEventListener("htmx:confirm", (event) => {
    due = busy();
    if (due) event.preventDefault();
  });
  main.addEventListener("htmx:beforeSwap", (event) => {
    due = busy();
    if (due) event.detail.shouldSwap = false;
  });
  main.addEventListener("htmx:afterRequest", (event) => {
    document.body.classList.toggle("stale", !event.detail.successful);
  });
  for (const name of ["focusout", "toggle"]) main.addEventListener(name, later, true);
  document.addEventListener("visibilitychange", later);
  // The browser itself takes up a line that broke: no error for htmx, but worth a look at the server.
  htmx.createEventSource = (url) => {
    const source = new EventSource(url);
    source.addEventListener("error", (event) => {
      if (source.readyState !== EventSource.CLOSED) event.stopImmediatePropagation();
      now();
    });
    return source;
  };
})();
