"""A headless Chromium that looks at Airflow's pages as a person does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.e2e.conftest import wait_for


class Browser:
    """One window. Whatever is asked for is waited for: the pages draw themselves bit by bit."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver, self._url = driver, url

    def open(self, path: str) -> None:
        self.driver.get(f"{self._url}{path}")

    @contextmanager
    def framed(self, path: str) -> Iterator[None]:
        """One of our pages inside Airflow's frame, loaded."""
        self.open(path)
        self.driver.switch_to.frame(self.find("iframe"))
        try:
            self.find("h1")
            yield
        finally:
            self.driver.switch_to.default_content()

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def choose_theme(self, theme: str) -> None:
        """As Airflow keeps what its reader has chosen, for pages opened from now on; the browser must be on one of them."""
        self.run("localStorage.setItem('theme', arguments[0])", theme)

    def find(self, css: str, text: str = "") -> WebElement:
        """The first visible element that the selector finds and that holds `text`."""
        return wait_for(f"{css} {text}", lambda: next(iter(self._seen(css, text)), None), 60)

    def click(self, css: str, text: str = "") -> None:
        wait_for(f"{css} {text} to be clicked", lambda: self._clicked(css, text), 60)

    def write(self, name: str, text: str) -> None:
        """Write over what stands in the field of this name, and leave it."""
        field = self.find(f"[name='{name}']")
        field.click()
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(Keys.BACKSPACE)
        field.send_keys(text, Keys.TAB)

    def value(self, name: str) -> str:
        """What the field of this name shows."""
        return str(self.find(f"[name='{name}']").get_attribute("value"))

    def shown(self, css: str) -> list[WebElement]:
        """What the selector finds at this moment."""
        return self._seen(css, "")

    def _clicked(self, css: str, text: str) -> bool:
        from selenium.common.exceptions import WebDriverException

        try:
            next(iter(self._seen(css, text))).click()
        except (StopIteration, WebDriverException):
            return False  # not there yet, or moving still
        return True

    def _seen(self, css: str, text: str) -> list[WebElement]:
        from selenium.common.exceptions import StaleElementReferenceException

        try:
            found = self.driver.find_elements(By.CSS_SELECTOR, css)
            return [element for element in found if element.is_displayed() and text in element.text]
        except StaleElementReferenceException:
            return []  # drawn anew meanwhile


@contextmanager
def browsing(url: str) -> Iterator[Browser]:
    """A browser on an Airflow at `url`; the packages chromium and chromium-driver of Debian have to be there."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,2600"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield Browser(driver, url)
    finally:
        driver.quit()
