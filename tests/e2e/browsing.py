"""A headless Chromium, and waiting for what it shows."""

from __future__ import annotations

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_SECONDS = 60
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--window-size=1600,1200",
    "--ignore-certificate-errors",  # of Caddy's own authority
)


def open_browser() -> WebDriver:
    """Start a browser that notes what pages complain about."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ARGUMENTS:
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def shows(browser: WebDriver, *words: str) -> bool:
    """Wait until the page has all the words."""

    def all_there(driver: WebDriver) -> bool:
        text = driver.find_element(By.TAG_NAME, "body").text
        return all(word in text for word in words)

    return bool(WebDriverWait(browser, PATIENCE_SECONDS, ignored_exceptions=[Exception]).until(all_there))
