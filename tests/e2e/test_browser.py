"""What people see in a real browser: the API's documentation, and a report in the Dagster UI."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e.client import Client

PATIENCE_SECONDS = 60
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--window-size=1600,1200",
    "--ignore-certificate-errors",  # of Caddy's own authority
)


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ARGUMENTS:
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


def _shows(browser: WebDriver, *words: str) -> bool:
    def all_there(driver: WebDriver) -> bool:
        text = driver.find_element(By.TAG_NAME, "body").text
        return all(word in text for word in words)

    return bool(WebDriverWait(browser, PATIENCE_SECONDS, ignored_exceptions=[Exception]).until(all_there))


def test_the_documentation_lists_the_calls_and_asks_no_other_host(stack, browser: WebDriver) -> None:
    browser.get(f"{stack.url}/docs")
    assert _shows(browser, "/api/generate-report", "/api/auth/register", "/api/v1/schedules")
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []


def test_the_dagster_ui_shows_a_report_with_its_columns_and_checks(stack, browser: WebDriver) -> None:
    client = Client(stack.url)
    client.upload_example()
    assert client.wait(client.generate())["status"] == "succeeded"
    owner = client.session["user"]["id"]
    browser.get(f"{stack.dagster_url}/assets/{owner}/reports/default?view=events")
    assert _shows(browser, "default", "dagster/row_count", "rows in", "rows rejected")
