"""What people see in a real browser: the API's documentation, and a report in the Dagster UI."""

from __future__ import annotations

from selenium.webdriver.remote.webdriver import WebDriver

from tests.e2e.browsing import shows
from tests.e2e.client import Client


def test_the_documentation_lists_the_calls_and_asks_no_other_host(stack, browser: WebDriver) -> None:
    browser.get_log("browser")  # of pages before
    browser.get(f"{stack.url}/docs")
    assert shows(browser, "/api/generate-report", "/api/auth/register", "/api/v1/schedules")
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []


def test_the_dagster_ui_shows_a_report_with_its_columns_and_checks(stack, browser: WebDriver) -> None:
    client = Client(stack.url)
    client.upload_example()
    assert client.wait(client.generate())["status"] == "succeeded"
    owner = client.session["user"]["id"]
    browser.get(f"{stack.dagster_url}/assets/{owner}/reports/default?view=events")
    assert shows(browser, "default", "dagster/row_count", "rows in", "rows rejected")
