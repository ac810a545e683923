"""One running service for all end-to-end tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.e2e.browsing import open_browser
from tests.services.delivering import SECRET
from tests.stack import Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service that is ready; it must end cleanly, too."""
    to_this_process = {"REPORTGEN_WEBHOOK_HOSTS": "127.0.0.1", "REPORTGEN_SECRET_PARTNER": SECRET}
    behind_the_proxy = {"REPORTGEN_DAGSTER_PATH": "/dagster"}  # of test_edge.py
    service = Stack(tmp_path_factory.mktemp("service"), **to_this_process, **behind_the_proxy)
    service.start()
    yield service
    service.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator[WebDriver]:
    driver = open_browser()
    yield driver
    driver.quit()
