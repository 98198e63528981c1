/* What makes the pages quicker to use; each of them works without. */
"use strict";

/* Airflow's frame lets no page in it navigate the window around it. Links out of it are therefore clicked in that window. */
(() => {
  function outwards(event) {
    if (window.parent === window || event.button > 1 || event.defaultPrevented) return;
    const link = event.target.closest?.('a[target="_top"]');
    if (!link) return;
    event.preventDefault();
    const outer = window.parent.document;
    const twin = outer.createElement("a");
    twin.href = link.href;
    if (event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey) {
      twin.target = "_blank";
      twin.rel = "noopener";
    }
    outer.body.append(twin);
    twin.click();
    twin.remove();
  }
  document.addEventListener("click", outwards);
  document.addEventListener("auxclick", outwards);
})();

/* A form that narrows a list: what it would show is fetched while one types, and put in the place of the old. */
(() => {
  const form = document.querySelector("form[data-instant]");
  if (!form) return;
  form.classList.add("instant");
  let timer = 0;
  let newest = 0;

  async function show() {
    const asked = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) asked.set(name, value);
    const address = `${form.getAttribute("action")}?${asked}`;
    const mine = ++newest;
    let answer;
    try {
      answer = await fetch(address, { headers: { Accept: "text/html" } });
    } catch {
      return; // no connection: what is shown stays, and the button still asks
    }
    if (mine !== newest) return; // somebody has typed on
    if (answer.status === 401) return location.assign(address);
    const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(form.dataset.instant);
    if (!found) return;
    document.getElementById(form.dataset.instant).replaceWith(found);
    history.replaceState(null, "", address);
  }

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, 150);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    show();
  });
})();
