"""What a person would see wrong with a page, asked of a real browser: text that is cut, boxes that overlap, pictures that are
blank, and what axe-core says of accessibility."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from selenium import webdriver

from tests.conftest import PROJECT

AXE = PROJECT / "tests" / "vendored" / "axe-core" / "axe.min.js"

_BOXES = """
const bad = [];
const name = (e) => [e.tagName.toLowerCase(), e.id && '#' + e.id, ...[...e.classList].map((c) => '.' + c)].join('') +
  ` "${(e.textContent || '').trim().slice(0, 30)}"`;
// The way to the content stands outside until somebody comes to it by keyboard.
const seen = (e) => e.checkVisibility() && !e.closest('.vh, .skip') && e.getClientRects().length > 0;
const wide = document.documentElement.scrollWidth;
if (wide > innerWidth) bad.push(`the page is ${wide} wide in a window of ${innerWidth}`);
for (const e of document.body.querySelectorAll('*')) {
  if (!seen(e) || e.closest('canvas, script, style')) continue;
  const held = e.closest('.scroll, pre');
  const box = e.getBoundingClientRect();
  if (!held && (box.right > innerWidth + 1 || box.left < -1)) bad.push(`beyond the window: ${name(e)}`);
  if (!held && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline' && e.clientWidth)
    bad.push(`its text is wider than itself: ${name(e)}`);
}
const apart = 'h1, h2, h3, p, dl > div, dt, dd, .card, figure, figcaption, .canvas, details, table, ul, li, pre, td, th, ' +
  'section, header, footer';
for (const parent of [document.body, ...document.body.querySelectorAll('*')]) {
  const children = [...parent.children].filter((e) => e.matches(apart) && seen(e));
  for (let i = 0; i < children.length; i++) for (let j = i + 1; j < children.length; j++) {
    const [a, b] = [children[i].getBoundingClientRect(), children[j].getBoundingClientRect()];
    const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (x > 1.5 && y > 1.5) bad.push(`${name(children[i])} and ${name(children[j])} overlap`);
  }
}
return [...new Set(bad)].slice(0, 20);
"""

_OVERLAPS = """
const kinds = "h1, h2, p, a, button, input, select, dt, dd, th, td, summary, figcaption, canvas, svg";
const seen = [...document.querySelectorAll(kinds)]
  .filter((element) => element.checkVisibility() && !element.closest(".vh, .skip, pre") && !element.matches(".vh, .skip"))
  .map((element) => [element, element.getBoundingClientRect()])
  .filter(([, box]) => box.width > 1 && box.height > 1);
const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const told = wide > 0 ? [`the page is ${wide} px too wide`] : [];
const name = (element) => `${element.tagName} ${element.textContent.trim().slice(0, 40)}`;
for (const [element, box] of seen) {
  if (!element.closest(".scroll") && (box.left < -1 || box.right > innerWidth + 1)) told.push(`cut: ${name(element)}`);
  for (const [other, its] of seen) {
    if (element === other || element.contains(other) || other.contains(element)) continue;
    if (element.closest(".scroll") !== other.closest(".scroll")) continue;
    const across = Math.min(box.right, its.right) - Math.max(box.left, its.left);
    const down = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
    if (across > 2 && down > 2) told.push(`overlap: ${name(element)} / ${name(other)}`);
  }
}
return told.slice(0, 10);
"""

_BLANK = """
return [...document.querySelectorAll('canvas')].filter((canvas) => canvas.checkVisibility()).map((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let at = 0; at < data.length; at += 4)
    if (data[at + 3] > 200) colours.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]);
  const box = canvas.getBoundingClientRect();
  const whole = box.height > 100 && box.width > 200;
  return [canvas.getAttribute('aria-label'), whole ? colours.size : 0];
});
"""


def box_problems(driver: webdriver.Chrome) -> list[str]:
    """Boxes that overlap their neighbours, stick out of the window, or are narrower than their text."""
    found: list[str] = driver.execute_script(_BOXES)
    return found


def overlap_problems(driver: webdriver.Chrome) -> list[str]:
    """Texts, controls and pictures that cover one another, wherever they stand in the page, and what is cut by the window."""
    found: list[str] = driver.execute_script(_OVERLAPS)
    return found


def pictures(driver: webdriver.Chrome) -> dict[str, int]:
    """Label of each visible canvas -> how many opaque colours are on it; a blank one has none, and one that is hardly seen."""
    return dict(driver.execute_script(_BLANK))


def axe_problems(driver: webdriver.Chrome) -> list[str]:
    """What axe-core finds, one text a rule, with the first element."""
    driver.execute_script(AXE.read_text("utf-8"))
    found: dict[str, Any] = driver.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run(document, {resultTypes: ['violations']}).then(done);"
    )
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}; {rule['nodes'][0]['html'][:160]} "
        f"{rule['nodes'][0]['failureSummary']}"
        for rule in found["violations"]
    ]


def look_at(
    driver: webdriver.Chrome, width: int, *, theme: str = "light", media: str = "screen", height: int = 900
) -> None:
    """A window so wide, with the reader's theme, or as paper."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    features = [{"name": "prefers-color-scheme", "value": theme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def errors_told(driver: webdriver.Chrome) -> list[str]:
    """What the page has written to the browser's console as an error or a warning since the last look."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def keep_picture(driver: webdriver.Chrome, name: str) -> None:
    """What is seen of the page, where SKILLSENGINE_PICTURES names a folder."""
    if folder := os.environ.get("SKILLSENGINE_PICTURES"):
        driver.find_element("css selector", "html").screenshot(str(Path(folder) / f"{name}.png"))
