/* Keeps a page up to date while a run goes on: numbers and curves every few seconds; the parts about the run anew when it gets
   to another stage, ends, or another one begins. */
"use strict";

(() => {
  const place = document.getElementById("now");
  if (!place?.dataset.live) return;
  const RUNNING_MS = 3000;
  const QUIET_MS = 20000;
  let seen = null;

  const signature = (told) =>
    JSON.stringify([told.run, told.state, told.stage, told.stages, Object.keys(told.charts ?? {}), told.fraction == null]);

  async function anew() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["now", "runs"]) {
      const found = page.getElementById(id);
      if (!found) continue;
      document.getElementById(id).replaceChildren(...found.childNodes);
      document.getElementById(id).querySelectorAll("figure.chart").forEach(skillsengineCharts.draw);
    }
  }

  function tell(told) {
    const write = (name, text) => {
      const element = place.querySelector(`[data-live-${name}]`);
      if (element && element.textContent !== text) element.textContent = text;
    };
    write("text", told.text ?? "");
    write("left", told.left ?? "");
    const bar = place.querySelector("[data-live-fraction]");
    if (bar && told.fraction != null) bar.value = told.fraction;
    for (const [id, data] of Object.entries(told.charts ?? {})) {
      const figure = document.getElementById(`chart-${id}`);
      if (figure) skillsengineCharts.update(figure, data);
    }
  }

  async function look() {
    let wait = QUIET_MS;
    try {
      if (document.visibilityState === "visible") {
        const answer = await fetch(place.dataset.live, { headers: { Accept: "application/json" } });
        if (answer.ok) {
          const told = await answer.json();
          const now = signature(told);
          if (seen !== null && now !== seen) await anew();
          seen = now;
          tell(told);
          if (told.state === "running" || told.state === "queued") wait = RUNNING_MS;
        }
      }
    } catch {
      // no connection for a moment: what is shown stays, and the next look may get through
    }
    setTimeout(look, wait);
  }

  look();
})();
