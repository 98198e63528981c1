/* Asks without loading the page again, tells meanwhile how long it takes, and copies the answer. The form works without. */
"use strict";

(() => {
  const LOOK_MS = 1000;
  const form = document.getElementById("try");
  let asked = 0;

  const doing = (text) => {
    const place = document.querySelector("[data-try-doing]");
    if (place) place.textContent = text;
  };

  function show(page) {
    const found = page.getElementById("answer");
    if (!found) return false;
    const place = document.getElementById("answer");
    place.replaceChildren(...found.childNodes);
    place.dataset.try = found.dataset.try ?? "";
    dress();
    look(asked);
    return true;
  }

  /* What stands in the answer's heading is told beside the button too, where screen readers hear it. */
  function dress() {
    for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
    doing(document.querySelector("#answer h2")?.textContent ?? "");
  }

  function say(text) {
    const section = document.createElement("section");
    section.className = "live failed card";
    const said = document.createElement("p");
    said.className = "said";
    said.textContent = text;
    section.append(said);
    const place = document.getElementById("answer");
    place.replaceChildren(section);
    place.dataset.try = "";
    doing("");
  }

  const parsed = (text) => new DOMParser().parseFromString(text, "text/html");

  /* While a run goes on: where it is every second; the whole answer when it gets further. */
  async function look(mine) {
    const place = document.getElementById("answer");
    if (!place.dataset.try || mine !== asked) return;
    const address = place.dataset.try;
    let seen = null;
    while (mine === asked && place.dataset.try === address) {
      try {
        const answer = await fetch(address, { headers: { Accept: "application/json" } });
        if (answer.ok) {
          const told = await answer.json();
          const now = JSON.stringify([told.state, told.hint]);
          if (told.over || (seen !== null && now !== seen)) {
            const page = await fetch(location.href, { headers: { Accept: "text/html" } });
            if (page.ok && mine === asked && show(parsed(await page.text()))) return;
          }
          seen = now;
          const line = place.querySelector("[data-try-told]");
          if (line && told.told) line.textContent = told.told;
        } else if (answer.status < 500) {
          return say("This try cannot be read any more. Load the page again.");
        }
      } catch {
        // no connection for a moment: the next look may get through
      }
      await new Promise((then) => setTimeout(then, LOOK_MS));
    }
  }

  async function ask(event) {
    event.preventDefault();
    const mine = ++asked;
    const began = Date.now();
    const clock = setInterval(() => doing(`asking: ${Math.round((Date.now() - began) / 1000)} s`), LOOK_MS);
    const buttons = document.querySelectorAll("button[type=submit]");
    const body = new FormData(form, event.submitter);
    doing("asking");
    for (const button of buttons) button.disabled = true;
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
      const text = await answer.text();
      const page = parsed(text);
      clearInterval(clock);
      if (answer.redirected) history.replaceState(null, "", answer.url);
      if (!answer.ok || !show(page)) say(page.querySelector(".said")?.textContent ?? text.slice(0, 500));
    } catch {
      say("Airflow's API server does not answer. Ask again in a moment.");
    } finally {
      clearInterval(clock);
      for (const button of buttons) button.disabled = false;
      document.getElementById("answer").scrollIntoView({ block: "nearest" });
    }
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    const status = document.querySelector("[data-copied]");
    try {
      await navigator.clipboard.writeText(source.textContent);
      status.textContent = "copied";
    } catch {
      // plain http, or a browser that asks: it is marked, so that Ctrl-C does it
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      status.textContent = document.execCommand("copy") ? "copied" : "marked: copy it with Ctrl-C";
    }
  }

  form?.addEventListener("submit", ask);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (button) copy(button);
  });
  dress();
  look(asked);
})();
