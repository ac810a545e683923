"""Draws the pictures of docs/operating.md: `python docs/screenshots.py` starts a service of its own and looks at the Dagster UI.

What belongs here: a small world worth looking at, the pages, and taking their pictures. What does not: the words beside them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from reportgen_dagster.services import (
    accounts,
    datasets,
    report_runs,
    reports,
    rulesets,
    runs,
    schedules,
    uploads,
)
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.reports import Pick, ReportWish
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.home import running_settings
from tests.stack import Stack

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COOKBOOK = ROOT / "rules" / "cookbook"
PASSWORD = "pass123"  # noqa: S105 - of a throw-away account
PATIENCE_SECONDS = 90
SETTLED_SECONDS = 4.0  # the UI fades its pages in
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--window-size=1500,950",
)
GOOD, BAD = "02_lookup_with_defaults", "21_data_quality_gate"
FINAL = ("succeeded", "failed", "cancelled")


class World:
    """An account with two reports: one that is made every hour and one whose data break their contract."""

    def __init__(self, context: Context) -> None:
        self._context = context
        signed_in = accounts.register(context, email="ann@example.com", name="Ann", password=PASSWORD)
        self.owner_id = signed_in.user.id

    def fill(self) -> None:
        """Put datasets, rules and reports, and run each report."""
        self._put("prices", GOOD)
        schedules.add_schedule(
            self._context, self.owner_id, "prices", name="hourly", cron="0 * * * *", timezone="Europe/Berlin"
        )
        schedules.add_schedule(
            self._context, self.owner_id, "prices", name="month-end", cron="30 6 1 * *", missed="all"
        )
        self._put("quality", BAD)
        self.run("prices")
        self.run("quality")

    def _put(self, name: str, recipe: str) -> None:
        folder = COOKBOOK / recipe
        inputs = {}
        for path in sorted(folder.glob("*.csv")):
            if not path.stem.startswith("expected"):
                upload = uploads.receive(self._context, path.name, [path.read_bytes()], role=path.stem)
                datasets.add_version(self._context, self.owner_id, f"{name}_{path.stem}", upload)
                inputs[path.stem] = Pick(f"{name}_{path.stem}")
        rules = uploads.rules_text((folder / "rules.yaml").read_bytes(), "rules.yaml", None)
        rulesets.put_ruleset(self._context, self.owner_id, name, rules)
        wish = ReportWish(Pick(name), inputs, on_new_data=True, fresh_within_seconds=24 * 3600)
        reports.put_report(self._context, self.owner_id, name, wish)

    def run(self, name: str) -> None:
        """Run a report and wait until it ended."""
        run_id = report_runs.run_report(self._context, self.owner_id, name).id
        _until(lambda: runs.find_run(self._context, self.owner_id, run_id).state in FINAL, f"{name} was made")


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE_SECONDS} s: {what}")
        time.sleep(0.2)


@contextmanager
def _browser() -> Iterator[WebDriver]:
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in ARGUMENTS:
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def _picture(browser: WebDriver, url: str, name: str, *words: str) -> None:
    """Take a picture of a page once it shows some words."""
    browser.get(url)

    def shows() -> bool:
        text = browser.find_element(By.TAG_NAME, "body").text
        return all(word in text for word in words) and "Loading" not in text

    try:
        _until(shows, f"{url} shows {words}")
        time.sleep(SETTLED_SECONDS)
    finally:
        browser.save_screenshot(str(IMAGES / f"{name}.png"))
    print(f"docs/images/{name}.png")


def _pictures(browser: WebDriver, dagster: str, owner_id: str) -> None:
    prices, quality = (f"{dagster}/assets/{owner_id}/reports/{name}" for name in ("prices", "quality"))
    repository = f"{dagster}/locations/reports"
    _picture(browser, f"{dagster}/assets", "assets", "prices", "quality")
    _picture(browser, prices, "report", "prices", "ruleset")
    _picture(browser, f"{prices}?view=events", "materialization", "rows in", "preview")
    _picture(browser, f"{prices}?view=lineage", "lineage", "prices")
    _picture(browser, f"{quality}?view=checks&checkDetail=input_contract", "checks", "input_contract")
    _picture(browser, f"{repository}/sensors", "sensors", "launch_accepted_runs")
    _picture(browser, f"{dagster}/automation", "automation", "s_", "Every hour")
    _picture(browser, f"{dagster}/runs", "runs", "generate_report")


def main() -> None:
    """Draw them all."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rg-") as home:
        stack = Stack(Path(home))
        stack.start()
        try:
            settings = running_settings(Settings(home=Path(home)))
            with closing(Context.open(settings)) as context:
                world = World(context)
                world.fill()
                with _browser() as browser:
                    _pictures(browser, stack.dagster_url, world.owner_id)
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
