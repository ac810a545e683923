"""Whatever reads the pieces of an input, report, rejects and figures are the same: Arrow, DuckDB, or no pieces at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reportgen_dagster.engine import blocks, pieces, tries
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.report import make_report
from reportgen_dagster.errors import ReportgenError
from reportgen_dagster.rules.reading.loading import load_ruleset

MARK = "\ufeff"
COLUMNS = ("k", "n", "x", "d", "t")
FIELDS = (
    "[{name: k, type: string}, {name: n, type: integer}, {name: x, type: number}, {name: d, type: date},"
    " {name: t, type: string}]"
)
CONTRACT = f"input: {{dialect: DIALECT, schema: {{fields: {FIELDS}}}}}\n"
STRICT = """
rejects: {policy: divert}
input:
  dialect: DIALECT
  schema:
    missingValues: ["", NA, "-"]
    primaryKey: [k, n]
    uniqueKeys: [[t, n]]
    foreignKeys: [{fields: k, reference: {resource: labels, fields: key}}]
    fields:
      - {name: k, type: string, constraints: {required: true, maxLength: 3}}
      - {name: n, type: integer, constraints: {minimum: 2, maximum: 150}}
      - {name: x, type: number, severity: warn, constraints: {maximum: 40}}
      - {name: d, type: date, threshold: 90%, constraints: {minimum: "2024-01-01"}}
      - {name: t, type: string, severity: warn, constraints: {pattern: "[a-z]*"}}
references: {labels: {schema: {fields: [{name: key, type: string}, {name: label, type: string}]}}}
"""
RULES = {
    "rows": CONTRACT + "steps: [filter: n % 7 <> 3, derive: {y: x / (n - 5), m: month(d), u: upper(t)}]\n",
    "lookup": CONTRACT
    + "steps: [lookup: {reference: labels, match: {k: key}, take: [label]}, derive: {s: label || t, z: n * x}]\n",
    "strict": STRICT + "steps: [lookup: {reference: labels, match: {k: key}, take: [label]}]\n",
    "strict, grouped": STRICT
    + "steps: [aggregate: {by: [k], measures: {rows: count(*), n: sum(n), x: max(x), d: min(d), t: min(t)}}]\n",
    "plain": "input: {dialect: DIALECT}\nsteps: [derive: {c: t, same: n}]\noutput: {columns: [same, c, d, x, k]}\n",
    "inferred": "input: {dialect: DIALECT}\nsteps: [derive: {more: n + 1, less: x - 1, y: year(d)}]\n",
    "inferred, grouped": "input: {dialect: DIALECT}\n"
    + "steps: [aggregate: {by: [k, d], measures: {n: max(n), x: first(x)}}]\n",
    "pivoted": CONTRACT + "steps: [pivot: {by: [d], column: k, measures: {n: max(n)}}]\n",
    "sorted": CONTRACT + "steps: [window: {order_by: [x, -n], columns: {r: row_number()}}, sort: [d, r]]\n",
    "multiplied": CONTRACT
    + "steps: [join: {reference: labels, match: {k: key}, take: [label], how: left}, top: {n: 90, by: -n}]\n",
}  # fmt: skip
DIALECTS: Mapping[str, dict[str, Any]] = {
    "standard": {},
    "semicolons": {"delimiter": ";"},
    "tabs": {"delimiter": "\t"},
    "spaces": {"delimiter": " "},
    "no quotes": {"quoteChar": ""},
    "comments": {"commentChar": "#", "skipInitialSpace": True},
    "no header": {"header": False},
}
ODD_CELLS = st.sampled_from((
    "", "NA", "-", "null", " ", "0x1F", "-0", "-0.0", "007", "+5", " 5", "5 ", "1_000", "1.", ".5", "1e3", "1e400", "-1e-400",
    "nan", "inf", "9223372036854775807", "9223372036854775808", "0.1000000000000000055", "2024-02-29", "2023-02-29",
    "0000-01-01", "0001-01-01", "2024-2-3", "2024-02-03 ", "10000-01-01", f"{MARK}k1", MARK, "k1", "k9", "K1", "#k", '5"', "é",
    "\u2028", "\x0b", "0", "5", "true", "ß" * 50,
))  # fmt: skip
ROW_COUNT = 150
ODD_ROWS = st.sampled_from(
    (
        "",
        " ",
        "k1",
        "#no row",
        "{all}{delimiter}",
        "{all}{delimiter}{delimiter}more",
        "{delimiter}{delimiter}",
        MARK,
    )
)


@st.composite
def tables(draw: st.DrawFn, delimiter: str) -> list[str]:
    """Make lines, most of them as they should be."""
    rows = [
        [f"k{n % 4 or ''}", str(n), f"{n / 4}", f"2024-01-{n % 28 + 1:02}", "abc"[n % 3] * (n % 5)]
        for n in range(ROW_COUNT)
    ]
    places = st.integers(0, ROW_COUNT - 1)
    for place, column, cell in draw(
        st.lists(st.tuples(places, st.integers(0, len(COLUMNS) - 1), ODD_CELLS), max_size=6)
    ):
        rows[place][column] = cell
    lines = [delimiter.join(row) for row in rows]
    for place, odd in draw(st.lists(st.tuples(places, ODD_ROWS), max_size=3)):
        lines[place] = odd.format(all=lines[place], delimiter=delimiter)
    return lines


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """Return names of rules and of a dialect, and a file."""
    rules, dialect = draw(st.sampled_from(sorted(RULES))), draw(st.sampled_from(sorted(DIALECTS)))
    described = DIALECTS[dialect]
    delimiter = described.get("delimiter", ",")
    lines = draw(tables(delimiter))
    if described.get("header", True):
        lines.insert(0, delimiter.join(COLUMNS))
    line_end = draw(st.sampled_from(("\n", "\r\n")))
    text = line_end.join(lines) + draw(st.sampled_from(("", line_end)))
    if draw(st.integers(0, 9)) == 0:
        text = text.replace(line_end, "\r\n" if line_end == "\n" else "\n", 20)
    return rules, dialect, draw(st.sampled_from((b"", MARK.encode()))) + text.encode()


def _made(rules: str, dialect: str, data: bytes, *, piece_bytes: int, arrow: bool) -> dict[str, Any]:
    """Return all that a run leaves: report, rejects, figures, or the error."""
    text = "version: 1\n" + RULES[rules].replace("DIALECT", json.dumps(DIALECTS[dialect]))
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "PIECE_BYTES", piece_bytes)
        patched.setattr(tries, "_MOST_SPARED", 1)
        if not arrow:
            patched.setattr(blocks, "can_parse", lambda _: False)
        folder = Path(home)
        files = {"input": folder / "input.csv", "labels": folder / "labels.csv"}
        files["input"].write_bytes(data)
        files["labels"].write_text("key,label\nk,none\nk1,one\nk2,two\nk3,three\n")
        report, rejects = folder / "report.csv", folder / "rejects.csv"
        left: dict[str, Any] = {}
        try:
            outcome = make_report(
                load_ruleset(text),
                files if "labels" in text else {"input": files["input"]},
                outputs={"csv": report},
                rejects=rejects,
                work=folder,
                limits=Limits(memory="200MB"),
            )
        except ReportgenError as error:
            left["error"] = error.to_json()
        else:
            left["outcome"] = outcome.to_json()
        for path in (report, rejects):
            with suppress(FileNotFoundError):
                left[path.name] = path.read_bytes()
    return left


ODD_AT_PIECE = "k1,0,0,2024-01-01,\n" * 100 + f"{MARK}k1,1,1,2024-01-01,\n" * 100


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(("lookup", "standard", b"k,n,x,d,t\n" + ODD_AT_PIECE.encode()))
@example(("plain", "no header", b"\xef\xbb\xbf" + ODD_AT_PIECE.encode()))
@given(case=cases())
def test_what_comes_out_does_not_depend_on_the_reader(case: tuple[str, str, bytes]) -> None:
    whole = _made(*case, piece_bytes=10_000_000, arrow=True)
    assert _made(*case, piece_bytes=500, arrow=False) == whole
    assert _made(*case, piece_bytes=500, arrow=True) == whole


def test_a_line_that_is_too_long_is_refused_by_every_reader() -> None:
    lines = [f"k1,{n},0,2024-01-01,{'a' * 20_000_001 if n == 60 else ''}" for n in range(100)]
    data = "\n".join((",".join(COLUMNS), *lines)).encode()
    whole = _made("rows", "standard", data, piece_bytes=100_000_000, arrow=True)
    assert whole["error"]["problems"][0]["line"] == 62
    assert _made("rows", "standard", data, piece_bytes=500, arrow=False) == whole
    assert _made("rows", "standard", data, piece_bytes=500, arrow=True) == whole
