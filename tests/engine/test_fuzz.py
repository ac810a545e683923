"""The scanner and DuckDB agree on damaged files; `python -m tests.engine.fuzz 20000` runs more of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.fuzz import cases, verdict


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_each_row_is_read_or_known_to_be_unreadable(first: int, tmp_path: Path) -> None:
    verdicts = {verdict(case, tmp_path) for _, case in cases(50, seed=first)}
    assert {"read", "read with rejects", "refused: UnreadableFileError"} <= verdicts


@pytest.mark.parametrize("seed", [211_131])  # a byte order mark that only stands first in the copy
def test_files_that_were_once_judged_wrongly(seed: int, tmp_path: Path) -> None:
    ((_, case),) = cases(1, seed=seed)
    assert verdict(case, tmp_path) == "read"
