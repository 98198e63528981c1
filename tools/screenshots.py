"""Takes the pictures of docs/images from a running Airflow: `python tools/screenshots.py EXPERIMENT --project DIR`.

What the pages show is that project's own history: for the pictures in docs/ the one that `benchmarks.demo_matrix` leaves in its
folder, with version 12 promoted; for `try-it` and `airflow-dag` the tutorial's, gone through up to its sixth part. Needs
Debian's chromium and chromium-driver. `--only matrix errors` takes some of them, `--out DIR` puts them elsewhere.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from skillsengine.airflow.embedded_state import read_state
from skillsengine.settings import load_settings

WIDTH = 1280
OURS = "/plugin/experiments/skillsengine/experiments"
"""Our pages in the frame of Airflow's."""
AD = (
    "Welder for our shipyard in Gdynia. You weld pressure pipes (TIG welding), read technical drawings and bring a valid "
    "forklift licence. Polish is a must, English helps. We offer 28 vacation days and a canteen."
)
_WAIT_SECONDS = 600
"""A version has to be loaded before it answers."""
_SETTLED_SECONDS = 2.0
"""Charts move into their places."""


@dataclass(frozen=True)
class Shot:
    """One picture: the page's address, what it must show, and how high the window is."""

    path: str
    shows: str
    """A selector, looked for in our page where that is in a frame."""
    height: int = 900
    framed: bool = True
    anchor: str = ""
    """Selector of what the picture begins with; without one, the top of the page."""
    asks: str = ""
    """A text that is asked first, in the page's form."""
    says: str = ""
    """Text that has to be there: Airflow's pages are there long before what they show."""


def shots(name: str) -> dict[str, Shot]:
    own = f"{OURS}/{name}"
    return {
        "experiments": Shot("/plugin/experiments", "table"),
        "experiment": Shot(own, "#versions", 1000),
        "training": Shot(own, "#training canvas", 1000, anchor="#training"),
        "matrix": Shot(f"{own}/matrix", "table"),
        "compare": Shot(f"{own}/compare", "table", 1000),
        "errors": Shot(f"{own}/errors", "#ads", 1000, anchor="#ads"),
        "try-it": Shot(f"{own}/try", "#as-json", 1000, asks=AD),
        "airflow-dag": Shot(f"/dags/{name}", "#root", framed=False, says="finetune"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument(
        "--project", type=Path, default=Path(), help="the folder whose Airflow runs (`skillsengine up`)"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "docs" / "images")
    parser.add_argument("--only", nargs="*", metavar="NAME")
    given = parser.parse_args()
    state = read_state(load_settings(given.project))
    if state is None:
        sys.exit(f"no Airflow runs for {given.project.resolve()}: start it there with `skillsengine up`")
    wanted = {name: shot for name, shot in shots(given.experiment).items() if not given.only or name in given.only}
    given.out.mkdir(parents=True, exist_ok=True)
    with browser() as driver:
        for name, shot in wanted.items():
            path = given.out / f"{name}.png"
            take(driver, state.url, shot, path)
            print(f"{path}: {path.stat().st_size / 1000:.0f} kB", flush=True)


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={WIDTH},900"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def take(driver: webdriver.Chrome, url: str, shot: Shot, path: Path) -> None:
    """Raises TimeoutException where the page does not show what it must."""
    driver.set_window_size(WIDTH, shot.height)
    driver.get(f"{url}{shot.path}")
    wait = WebDriverWait(driver, _WAIT_SECONDS)
    if shot.framed:
        wait.until(lambda browser: browser.find_elements(By.TAG_NAME, "iframe"))
        driver.switch_to.frame(driver.find_element(By.TAG_NAME, "iframe"))
    if shot.asks:
        field = wait.until(lambda browser: browser.find_element(By.TAG_NAME, "textarea"))
        field.send_keys(shot.asks)
        field.submit()
    wait.until(lambda browser: browser.find_elements(By.CSS_SELECTOR, shot.shows))
    if shot.says:
        wait.until(lambda browser: shot.says in browser.find_element(By.TAG_NAME, "body").text)
    if shot.anchor:
        driver.execute_script("document.querySelector(arguments[0]).scrollIntoView()", shot.anchor)
    driver.switch_to.default_content()
    time.sleep(_SETTLED_SECONDS)
    # A palette of 256 colours: a third of the size, and no difference to the eye.
    Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


if __name__ == "__main__":
    main()
