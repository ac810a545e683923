"""Charts say what they show: names, values and axes as they are written in the table."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from reportgen_dagster.engine.pages.texts import SOFT_BREAK
from tests.engine.pages.making import make, table, wish

SVG = "{http://www.w3.org/2000/svg}"
DAYS = [datetime.date(2026, 1, 1) + datetime.timedelta(days=place) for place in range(40)]


def _words(folder: Path, columns: Mapping[str, Any], told: Mapping[str, Any], **chart: Any) -> list[str]:
    """Return the texts in a chart."""
    made = make(folder, table(columns), wish({**told, "charts": [chart]}), kinds=["html"])
    (image,) = made.page.root.all("img")
    svg = ElementTree.fromstring(base64.b64decode(image.attributes["src"].partition(",")[2]))  # noqa: S314 - our own
    return ["".join(text.itertext()).replace(SOFT_BREAK, "") for text in svg.iter(f"{SVG}text")]


def test_bars_have_their_values_and_an_axis_in_the_column_s_format(tmp_path: Path) -> None:
    columns = {"desk": ["Rates", None, "_FX", "a$b$c"], "total": [1_250, -500, 20, 3]}
    told = {"formats": {"total": "#,##0.00 €"}, "locale": "de"}
    words = _words(tmp_path, columns, told, kind="bar", x="desk", y="total")
    for word in (
        "Rates",
        "(empty)",
        "_FX",
        "a$b$c",
        "desk",
        "total",
        "1.250,00\u00a0€",
        "-500,00\u00a0€",
        "1.000\u00a0€",
    ):
        assert word in words


@pytest.mark.parametrize("count", [3, 8])
def test_every_series_is_in_the_legend(tmp_path: Path, count: int) -> None:
    names = [f"_{place}" for place in range(count)]
    columns = {"x": ["a", "b"] * count, "n": [1, -2] * count, "by": [name for name in names for _ in "ab"]}
    for kind in ("bar", "line"):
        words = _words(tmp_path, columns, {}, kind=kind, x="x", y="n", by="by")
        assert [name for name in names if name not in words] == []


def test_a_line_over_days_has_labels_that_do_not_meet(tmp_path: Path) -> None:
    columns = {"day": DAYS, "share": [place / 1_000 for place in range(40)]}
    told = {"formats": {"day": "dd.mm.yyyy", "share": "0.0%"}}
    words = _words(tmp_path, columns, told, kind="line", x="day", y="share")
    days = [word for word in words if word.endswith(".2026")]
    assert days[0] == "01.01.2026"
    assert 3 <= len(days) <= 8
    assert "4%" in words


def test_slices_tell_their_value_and_share(tmp_path: Path) -> None:
    columns = {"desk": ["Rates", "FX"], "n": [3_000, 1_000]}
    words = _words(tmp_path, columns, {"locale": "de"}, kind="pie", x="desk", y="n")
    assert words == ["Rates: 3.000 (75,0%)", "FX: 1.000 (25,0%)"]


def test_small_and_large_values_have_an_axis(tmp_path: Path) -> None:
    for scale, tick in ((1e-7, "0.00000020"), (1e13, "20,000,000,000,000")):
        columns = {"x": ["a", "b"], "n": [scale, 2 * scale]}
        assert tick in _words(tmp_path, columns, {}, kind="line", x="x", y="n")
