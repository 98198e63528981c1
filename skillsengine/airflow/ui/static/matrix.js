/* What makes the matrix quicker to use; it works without: arrow keys between cells, what a cell says beside it, what the button
   would do, and cells that are filled while one looks. */
"use strict";

(() => {
  const box = document.getElementById("matrix");
  if (!box) return;
  const RUNNING_MS = 3000;
  const QUIET_MS = 20000;
  const page = (text) => new DOMParser().parseFromString(text, "text/html");
  const cells = () => [...box.querySelectorAll("tbody tr:not(.title)")].map((row) => [...row.querySelectorAll("td")]);
  const held = (cell) => cell.querySelector("a") ?? cell;
  const cellOf = (element) => element?.closest?.(".matrix tbody tr:not(.title) td");

  /* The newest partitions first: history is long. */
  box.scrollLeft = box.scrollWidth;

  /* One stop for the Tab key, arrows for the rest. */
  let at = null;
  function stop(cell) {
    for (const row of cells()) for (const each of row) held(each).tabIndex = -1;
    at = cell;
    held(cell).tabIndex = 0;
  }
  function moved(event) {
    const cell = cellOf(document.activeElement);
    if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
    const rows = cells();
    let y = rows.findIndex((row) => row.includes(cell));
    let x = rows[y].indexOf(cell);
    if (event.key === "ArrowLeft") x -= 1;
    else if (event.key === "ArrowRight") x += 1;
    else if (event.key === "ArrowUp") y -= 1;
    else if (event.key === "ArrowDown") y += 1;
    else if (event.key === "Home") x = 0;
    else if (event.key === "End") x = rows[y].length - 1;
    else return;
    event.preventDefault();
    const next = rows[y]?.[x];
    if (!next) return;
    held(at).tabIndex = -1;
    at = next;
    held(next).tabIndex = 0;
    held(next).focus({ preventScroll: true });
    reveal(next);
  }
  /* Into the part of the box that neither the head nor the first column covers. */
  function reveal(cell) {
    const [its, around] = [cell.getBoundingClientRect(), box.getBoundingClientRect()];
    const left = around.left + box.querySelector(".corner").offsetWidth;
    const top = around.top + box.querySelector("thead").offsetHeight;
    if (its.left < left) box.scrollLeft -= left - its.left;
    else if (its.right > around.right) box.scrollLeft += its.right - around.right + 12;
    if (its.top < top) box.scrollTop -= top - its.top;
    else if (its.bottom > around.bottom) box.scrollTop += its.bottom - around.bottom + 12;
    if (its.top < 0 || its.bottom > innerHeight) cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  box.addEventListener("keydown", moved);

  /* What the cell says, to those who see it. */
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true"); // it stands in the cell for those who hear it
  document.body.append(tip);
  function tell(cell) {
    const text = cell?.querySelector(".vh")?.textContent;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const its = cell.getBoundingClientRect();
    const wide = tip.offsetWidth;
    tip.style.left = `${Math.max(8, Math.min(its.left + its.width / 2 - wide / 2, innerWidth - wide - 8))}px`;
    const below = its.bottom + 6 + tip.offsetHeight < innerHeight;
    tip.style.top = `${below ? its.bottom + 6 : its.top - tip.offsetHeight - 6}px`;
  }
  box.addEventListener("mouseover", (event) => tell(cellOf(event.target)));
  box.addEventListener("mouseleave", () => tell(null));
  box.addEventListener("focusin", (event) => {
    const cell = cellOf(event.target);
    if (cell && cell !== at) stop(cell);
    tell(cell);
  });
  box.addEventListener("focusout", () => tell(null));
  box.addEventListener("scroll", () => tell(cellOf(document.activeElement)));
  document.addEventListener("keydown", (event) => event.key === "Escape" && tell(null));

  /* Another score or range is shown as soon as it is chosen. */
  const view = document.querySelector("form[data-view]");
  view.classList.add("instant");
  view.addEventListener("change", () => {
    const asked = new URLSearchParams([...new FormData(view)].filter(([, value]) => value));
    location.assign(`${view.action}?${asked}`);
  });

  /* What the button would do of the versions that are ticked. */
  let newest = 0;
  const ticks = () => [...box.querySelectorAll('input[name="version"]')];
  async function count() {
    const form = document.getElementById("fill");
    if (!form) return;
    const mine = ++newest;
    const chosen = ticks().filter((tick) => tick.checked);
    const all = form.querySelector("[data-all]");
    if (all) {
      all.hidden = false;
      all.textContent = chosen.length ? "Tick none" : "Tick all";
    }
    const asked = new URLSearchParams();
    for (const name of ["from", "to"]) asked.set(name, form.elements[name].value);
    for (const tick of chosen) asked.append("version", tick.value);
    const answer = await fetch(`${form.dataset.missing}?${asked}`, { headers: { Accept: "application/json" } });
    if (!answer.ok || mine !== newest || !form.isConnected) return;
    const told = await answer.json();
    form.querySelector("[data-count]").textContent = told.missing.toLocaleString("en");
    form.querySelector("[data-cells]").textContent = told.missing === 1 ? "cell" : "cells";
    form.querySelector("[data-cost]").textContent = told.cost;
    form.querySelector("button.main").disabled = !told.missing;
  }
  box.addEventListener("change", count);
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-all]")) return;
    const some = ticks().some((tick) => tick.checked);
    for (const tick of ticks()) tick.checked = !some;
    count();
  });

  /* The button, without leaving the page. Browsers that do not say where a form comes from say it of a script's request. */
  document.addEventListener("submit", async (event) => {
    if (event.target.id !== "fill") return;
    event.preventDefault();
    const form = event.target;
    const button = form.querySelector("button.main");
    if (button.disabled) return;
    button.disabled = true;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "text/html" },
        body: new URLSearchParams(new FormData(form)),
      });
      const found = page(await answer.text());
      if (answer.ok) {
        show(found);
        history.replaceState(null, "", answer.url);
      } else {
        say(found.querySelector(".said")?.textContent ?? `It was not done (${answer.status}).`);
      }
    } catch {
      say("There is no connection to Airflow. Nothing was created, as far as one can see; try again.");
    }
    if (button.isConnected) button.disabled = false;
    look(true);
  });
  function say(text) {
    const said = document.createElement("p");
    said.className = "said";
    said.textContent = text;
    document.getElementById("fill-said").replaceChildren(said);
  }

  /* Put what another reading of the page says in the place of what is shown; where one is, and what is ticked, stays. */
  function show(found) {
    const fresh = found.getElementById("matrix");
    if (!fresh) return;
    for (const part of document.querySelectorAll("[data-part]")) {
      const its = found.getElementById(part.id);
      if (its && its.innerHTML !== part.innerHTML) part.replaceChildren(...its.childNodes);
    }
    const rows = (place) => [...place.querySelectorAll("tr")].map((row) => [...row.cells]);
    const [olds, news] = [rows(box), rows(fresh)];
    const same = olds.length === news.length && olds.every((row, y) => row.length === news[y].length);
    if (!same) box.replaceChildren(...fresh.childNodes);
    else olds.forEach((row, y) => row.forEach((cell, x) => exchange(cell, news[y][x])));
    box.dataset.mark = fresh.dataset.mark;
    start();
    if (ticks().some((tick) => !tick.checked)) count();
  }
  const ticksIn = (cell) => cell.querySelectorAll("input").length;
  function exchange(old, fresh) {
    const alike = old.className === fresh.className && old.textContent === fresh.textContent;
    if (alike && ticksIn(old) === ticksIn(fresh)) return;
    const focused = old.contains(document.activeElement);
    const unticked = old.querySelector("input")?.checked === false;
    old.replaceWith(fresh);
    if (unticked && fresh.querySelector("input")) fresh.querySelector("input").checked = false;
    if (at === old) at = fresh;
    if (focused) {
      held(fresh).tabIndex = 0;
      held(fresh).focus({ preventScroll: true });
    }
  }
  function start() {
    if (!at?.isConnected) {
      const rows = cells();
      at = rows[0]?.[rows[0].length - 1];
    }
    if (at) stop(at);
    const all = document.querySelector("[data-all]");
    if (all) all.hidden = false;
  }

  let timer = 0;
  async function look(soon = false) {
    clearTimeout(timer);
    let wait = soon ? RUNNING_MS : QUIET_MS;
    try {
      if (document.visibilityState === "visible") {
        const answer = await fetch(box.dataset.live, { headers: { Accept: "application/json" } });
        if (answer.ok) {
          const told = await answer.json();
          if (told.running) wait = RUNNING_MS;
          if (told.mark !== box.dataset.mark) {
            const shown = await fetch(location.href, { headers: { Accept: "text/html" } });
            if (shown.ok) show(page(await shown.text()));
          }
        }
      }
    } catch {
      // no connection for a moment: what is shown stays, and the next look may get through
    }
    timer = setTimeout(look, wait);
  }

  start();
  look();
})();
