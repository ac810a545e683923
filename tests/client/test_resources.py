"""Named things by way of the client: datasets, rulesets, reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reportgen_client import Client, ReportgenApiError
from tests.client.conftest import REPORT
from tests.client.test_commands import Person
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server
from tests.gateway.test_datasets import look_at

Finish = Callable[..., None]
DAILY = {
    "ruleset": {"name": "margin"},
    "inputs": {"input": {"dataset": "trades"}, "reference": {"dataset": "desks"}},
}


def put_together(client: Client) -> None:
    client.datasets.add("trades", INPUT)
    client.datasets.add("desks", REFERENCE)
    client.rulesets.put("margin", RULES.decode())
    client.reports.put("daily", DAILY)


def test_datasets(client: Client, tmp_path: Path) -> None:
    (tmp_path / "monday.csv").write_bytes(INPUT)
    first = client.datasets.add("trades EU", tmp_path / "monday.csv")
    assert (first["version"], first["filename"], first["columns"]) == (1, "monday.csv", ["refkey1", "field1"])
    assert client.datasets.add("trades EU", INPUT + b"k3,3\n")["version"] == 2
    name = first["dataset"]
    assert [one["name"] for one in client.datasets.list()] == [name]
    assert [one["version"] for one in client.datasets.versions(name)] == [2, 1]
    client.datasets.delete(name)
    with pytest.raises(ReportgenApiError) as gone:
        client.datasets.get(name)
    assert gone.value.status == 404


def test_what_a_version_of_a_dataset_holds(client: Client, server: Server, tmp_path: Path) -> None:
    content = INPUT + b"k3,3,too many cells\n"
    added = client.datasets.add("trades", content)
    with pytest.raises(ReportgenApiError) as early:
        client.datasets.profile("trades", 1)
    assert early.value.status == 409
    look_at(server, added["digest"], tmp_path)
    assert client.datasets.profile("trades", 1)["rows"] == 2
    assert client.datasets.rows("trades", 1)["rows"] == [["k1", "1"], ["k2", "2"]]
    rejects = client.datasets.rejects("trades", 1, tmp_path / "rejects.csv")
    assert "too many cells" in rejects.read_text()


def test_rules_are_checked_without_being_kept(client: Client) -> None:
    assert client.rulesets.check(RULES.decode())["valid"] is True
    wrong = client.rulesets.check('[{"output": "a", "formula": "b +"}]', syntax="json")
    assert (wrong["valid"], wrong["problems"][0]["line"]) == (False, 1)
    assert list(client.rulesets.list()) == []


def test_a_change_of_rules_that_somebody_else_made_meanwhile_is_not_lost(client: Client) -> None:
    assert client.rulesets.put("margin", RULES.decode())["version"] == 1
    mine = client.rulesets.get("margin")
    assert (
        client.rulesets.put("margin", "- {output: a, formula: field1}\n", if_match=mine.etag)["version"] == 2
    )
    with pytest.raises(ReportgenApiError) as late:
        client.rulesets.put("margin", "- {output: b, formula: field1}\n", if_match=mine.etag)
    assert (late.value.status, late.value.code) == (412, "changed-meanwhile")
    assert len(list(client.rulesets.versions("margin"))) == 2


def test_a_named_report(client: Client, finish: Finish, tmp_path: Path) -> None:
    put_together(client)
    run = client.reports.run("daily")
    finish(run.id, report=REPORT)
    assert run.wait(10).download(tmp_path / "daily.csv").read_bytes() == REPORT
    assert [one.id for one in client.reports.runs("daily")] == [run.id]
    assert client.reports.pause("daily")["paused"] is True
    assert client.reports.resume("daily")["paused"] is False
    client.reports.delete("daily", if_match=client.reports.get("daily").etag)
    assert list(client.reports.list()) == []


def test_a_new_version_from_the_command_line(server: Server, tmp_path: Path) -> None:
    ann = Person(tmp_path, server.url)
    ann.registers()
    (ann.folder / "monday.csv").write_bytes(INPUT)
    told = ann.told("upload", "--dataset", "trades", "monday.csv")
    assert told == "dataset: version 1, 25 B, 2 columns\n"
