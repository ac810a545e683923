"""Versions that Dagster was not told of, and what a dataset's version holds."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from reportgen_dagster.engine.confined import ConfinedProcess, Tell
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.services import (
    datasets,
    profile_child,
    report_runs,
    reports,
    rulesets,
    uploads,
    versions,
)
from reportgen_dagster.services.reports import Pick, ReportWish
from reportgen_dagster.services.uploads import RulesText
from tests.services.conftest import REFERENCE, RULES, World, fits


def put(world: World, name: str, body: bytes) -> None:
    datasets.add_version(world.context, world.ann, name, world.file(body))


@contextmanager
def work(world: World) -> Iterator[Path]:
    with world.context.store.work_folder("test") as folder:
        yield folder


def look(world: World) -> list[versions.FileVersion]:
    found = []
    for version in versions.files(world.context, versions.unreported_files(world.context)):
        with work(world) as folder:
            found.append(versions.profiled(world.context, version, folder, seconds=60))
    return found


def test_only_versions_of_named_things_wait_in_the_order_in_which_they_came(world: World) -> None:
    uploads.accept_files(world.context, world.ann, world.files())
    uploads.accept_rules(world.context, world.ann, RULES)
    world.run()
    assert (versions.unreported_files(world.context), versions.unreported_rules(world.context)) == ([], [])
    for body in (b"a\n1\n", b"a\n2\n"):
        put(world, "trades", body)
    rulesets.put_ruleset(world.context, world.ann, "margin", RULES, check=fits)
    waiting = versions.files(world.context, versions.unreported_files(world.context))
    assert [(one.dataset_name, one.number) for one in waiting] == [("trades", 1), ("trades", 2)]
    (rules,) = versions.unreported_rules(world.context)
    assert (rules.ruleset_name, rules.version.text) == ("margin", RULES.text)
    versions.mark_file_reported(world.context, waiting[0].id)
    versions.mark_rules_reported(world.context, rules.id)
    assert versions.unreported_files(world.context) == [waiting[1].id]
    assert versions.unreported_rules(world.context) == []


def test_of_many_versions_a_batch_waits_at_a_time(world: World) -> None:
    for number in range(versions.BATCH + 1):
        put(world, "trades", f"a\n{number}\n".encode())
    assert len(versions.unreported_files(world.context)) == versions.BATCH


def test_a_profile_is_kept_with_the_version_and_made_once(world: World) -> None:
    put(world, "trades", gzip.compress(b"key,price\nA,1\nB,\n"))
    (found,) = look(world)
    assert found.profile is not None
    assert (found.profile["rows"], [one["nulls"] for one in found.profile["columns"]]) == (2, [0, 1])
    view = datasets.get_dataset(world.context, world.ann, "trades")
    assert view.latest.profile == found.profile
    world.context.store.path(found.digest).unlink()
    assert look(world) == [found], "who looks again takes what is kept"


def test_a_file_that_cannot_be_read_has_the_reason_as_its_profile(world: World) -> None:
    put(world, "trades", b'key,price\nA,"1\n')
    (found,) = look(world)
    assert found.profile is not None
    assert found.profile["error"]["fault"] == "data"
    assert "quote" in found.profile["error"]["detail"]


def test_a_file_that_is_gone_is_our_fault(world: World) -> None:
    put(world, "trades", b"a\n1\n")
    (version,) = versions.files(world.context, versions.unreported_files(world.context))
    world.context.store.path(version.digest).unlink()
    (found,) = look(world)
    assert found.profile is not None
    assert found.profile["error"]["fault"] == "service"


def test_whoever_looks_into_a_file_reaches_nothing_else(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a\n1\n")
    put(world, "trades", b"a\n1\n")
    (version,) = versions.files(world.context, versions.unreported_files(world.context))
    with work(world) as folder:
        request = {
            "file": str(secret),
            "columns": ["a"],
            "work": str(folder),
            "limits": {"memory": "200MB", "threads": 1, "seconds": 60, "temp": "1GB"},
        }
        given = Path(world.context.store.path(version.digest))

        def look_elsewhere(tell: Tell) -> None:
            profile_child.look(request, tell)

        limits = Limits(**request["limits"])  # type: ignore[arg-type]
        with (
            ConfinedProcess.forked(look_elsewhere, limits=limits, reads=[given], writes=[folder]) as process,
            pytest.raises(RuntimeError, match="Permission"),
        ):
            list(process.messages())


def test_a_process_that_is_killed_leaves_words_instead_of_a_crash(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(world, "trades", b"a\n1\n")

    start = profile_child.start

    def start_and_kill(request: Mapping[str, Any]) -> ConfinedProcess:
        others = set(psutil.Process().children())
        process = start(request)
        (child,) = set(psutil.Process().children()) - others
        child.kill()
        return process

    monkeypatch.setattr(profile_child, "start", start_and_kill)
    (found,) = look(world)
    assert found.profile is not None
    assert found.profile["error"]["code"] == "internal"


def test_what_a_run_told_of_is_marked_unless_it_has_a_name(world: World) -> None:
    from reportgen_dagster.services import publications

    run_id = world.run()
    world.publish(world.claim(run_id))
    publications.mark_reported(world.context, run_id)
    for name, body in (("in", b"key,price\nA,1\n"), ("ref", REFERENCE)):
        put(world, name, body)
    rulesets.put_ruleset(
        world.context, world.ann, "margin", RulesText("m.yaml", RULES.text, "yaml"), check=fits
    )
    wish = ReportWish(Pick("margin"), {"input": Pick("in"), "reference": Pick("ref")})
    reports.put_report(world.context, world.ann, "daily", wish, check=fits)
    named = report_runs.run_report(world.context, world.ann, "daily").id
    world.publish(world.claim(named))
    publications.mark_reported(world.context, named)
    told = world.sql(
        "SELECT d.name, v.reported_at IS NOT NULL FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id"
    )
    assert {name: is_told for name, is_told in told if not str(name).startswith("run-")} == {
        "in": False,
        "ref": False,
    }
    assert all(is_told for name, is_told in told if str(name).startswith("run-"))
