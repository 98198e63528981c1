/* Light or dark, as Airflow is. Inside Airflow's frame its page says so by a class; alone, by what Airflow keeps in the browser;
   where neither says anything, by the reader's system (figures.css). */
"use strict";

(() => {
  const root = document.documentElement;

  function airflow() {
    try {
      return window.parent !== window ? window.parent.document.documentElement : null;
    } catch {
      return null; // framed by another site, which the browser refuses anyway
    }
  }

  function said() {
    const outer = airflow();
    if (outer) {
      if (outer.classList.contains("dark")) return "dark";
      if (outer.classList.contains("light")) return "light";
    }
    try {
      return localStorage.getItem("theme");
    } catch {
      return null;
    }
  }

  function follow() {
    const theme = said();
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
    else delete root.dataset.theme;
  }

  follow();
  addEventListener("storage", follow);
  const outer = airflow();
  if (outer) new MutationObserver(follow).observe(outer, { attributeFilter: ["class"] });
})();
