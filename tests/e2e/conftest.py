"""One running service for all end-to-end tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack import Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service that is ready; it must end cleanly, too."""
    service = Stack(tmp_path_factory.mktemp("service"))
    service.start()
    yield service
    service.stop()
