"""Random rules of every kind of step over random typed tables: the engine against the oracle in plain pandas."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.report import make_report
from reportgen_dagster.errors import BadDataError
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.properties.expressions import written
from tests.properties.oracle import RunFails, State
from tests.properties.steps import INPUT, MANY, ONE, begin, contract, steps, tables, write_csv

MOST_STEPS = 5


def drawn(
    data: st.DataObject, table: pd.DataFrame, one: pd.DataFrame, many: pd.DataFrame
) -> tuple[list[Any], State | None]:
    """Draw steps one after the other, each for what the last one left; no state at the end if the run must fail."""
    state, documents = begin(table), []
    for number in range(data.draw(st.integers(1, MOST_STEPS))):
        step = data.draw(steps(state, one, many, number))
        documents.append(step.document)
        try:
            state = step.apply(state)
        except RunFails:
            return documents, None
    return documents, state


def run(
    folder: Path, rules: dict[str, Any], frames: dict[str, pd.DataFrame]
) -> tuple[list[list[str]], list[int]]:
    """Make the report with the engine and return its rows with the header, and the lines of the rejects."""
    files = {name: write_csv(folder / f"{name}.csv", frame) for name, frame in frames.items()}
    output, rejects, work = folder / "report.csv", folder / "rejects.csv", folder / "work"
    work.mkdir()
    ruleset = load_ruleset(json.dumps(rules), syntax="json")
    outcome = make_report(
        ruleset, files, outputs={"csv": output}, rejects=rejects, work=work, limits=Limits(memory="300MB")
    )
    assert outcome.input_count == outcome.used_count + outcome.reject_count
    assert outcome.input_count == len(frames["input"])
    lines = []
    if rejects.exists():
        lines = [int(row["_line"]) for row in csv.DictReader(io.StringIO(rejects.read_text()))]
    return [*csv.reader(io.StringIO(output.read_text()))], lines


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_steps_agree_with_pandas(data: st.DataObject) -> None:
    table, one, many = (
        data.draw(strategy) for strategy in (tables(INPUT), tables(ONE, key="k"), tables(MANY))
    )
    documents, state = drawn(data, table, one, many)
    references = {
        name: document for name, document in (("one", ONE), ("many", MANY)) if name in json.dumps(documents)
    }
    rules = {
        "version": 1,
        "input": {"schema": contract(INPUT)},
        "references": {name: {"schema": contract(schema)} for name, schema in references.items()},
        "steps": documents,
    }
    if not references:
        del rules["references"]
    frames = {"input": table, **{name: {"one": one, "many": many}[name] for name in references}}
    with tempfile.TemporaryDirectory() as folder:
        if state is None:
            with pytest.raises(BadDataError):
                run(Path(folder), rules, frames)
            return
        rows, lines = run(Path(folder), rules, frames)
    assert rows[0] == [*state.schema]
    assert rows[1:] == [[written(row[name]) for name in state.schema] for row in state.rows()]
    assert lines == sorted(state.rejects)
