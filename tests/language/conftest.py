"""What the tests of the language share: somebody to ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.language.asking import Asking, Command


@pytest.fixture
def ask(tmp_path: Path) -> Asking:
    """Makes reports."""
    return Asking(tmp_path)


@pytest.fixture
def reportgen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line."""
    return Command(tmp_path, monkeypatch, capsys)
