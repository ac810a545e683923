"""Unchanged is cheap: a run of the same files, rules and options takes over the files that are there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reportgen_dagster.errors import LostFileError
from reportgen_dagster.services import attempts, runs
from reportgen_dagster.services.uploads import RulesText
from reportgen_dagster.storage.store import Stored
from tests.services.conftest import INPUT, OUTCOME, RULES, World, fits

REPORT = b"total\n2\n4\n"
DATED = RulesText("rules.yaml", '- {output: made, formula: "today()"}\n', "yaml")


def accept(world: World, owner_id: str = "", **wishes: object) -> str:
    given = {"files": world.files(), "rules": RULES, "check": fits, **wishes}
    return runs.accept_run(world.context, owner_id or world.ann, **given).id  # type: ignore[arg-type]


def again(world: World, run_id: str) -> str | None:
    return attempts.publish_again(world.context, world.claim(run_id))


def made(world: World, run_id: str, content: bytes = REPORT) -> str:
    assert world.publish(world.claim(run_id), content)
    return run_id


def test_the_same_again_has_the_files_at_once_and_says_whose_they_are(world: World) -> None:
    first = made(world, accept(world))
    second = accept(world)
    assert again(world, second) == first
    view = runs.find_run(world.context, world.ann, second)
    assert (view.state, view.row_count, view.progress, view.formats) == ("succeeded", 2, 100, ("csv",))
    assert runs.report_file(world.context, world.ann, second).path.read_bytes() == REPORT
    assert world.sql("SELECT outcome->>'same_as' FROM runs WHERE id = :id", id=second) == [(first,)]


def test_the_rejects_come_along(world: World) -> None:
    claimed = world.claim(accept(world))
    with world.context.store.new_blob() as blob:
        blob.write(b"_line\n2\n")
        stored = blob.finish()
    outcome = {"input_count": 2, "used_count": 1, "reject_count": 1, "row_count": 1}
    artifacts = [attempts.NewArtifact("csv", stored, "text/csv")]
    assert attempts.publish(world.context, claimed, artifacts=artifacts, rejects=stored, outcome=outcome)
    second = accept(world)
    assert again(world, second) == claimed.run_id
    assert runs.rejects_file(world.context, world.ann, second).path.read_bytes() == b"_line\n2\n"


@pytest.mark.parametrize(
    "other",
    [
        lambda world: {"files": world.files() | {"input": world.file(INPUT + b"C,3\n")}},
        lambda _: {"rules": RulesText("rules.yaml", RULES.text + "# another\n", "yaml")},
        lambda _: {"parameters": {"desk": "FX"}},
        lambda _: {"formats": ["csv", "xlsx"]},
        lambda world: {"owner_id": world.bob},
    ],
    ids=["file", "rules", "parameter", "formats", "owner"],
)
def test_what_differs_is_made(world: World, other: Callable[[World], dict[str, object]]) -> None:
    made(world, accept(world))
    second = accept(world, **other(world))  # type: ignore[arg-type]
    assert again(world, second) is None
    assert world.state(second) == "running"


def test_rules_that_ask_for_the_date_are_of_their_day(world: World) -> None:
    made(world, accept(world, rules=DATED))
    assert again(world, accept(world, rules=DATED)) is not None
    assert again(world, tomorrow(world, accept(world, rules=DATED))) is None


def test_rules_that_do_not_ask_for_the_date_are_of_any_day(world: World) -> None:
    first = made(world, accept(world))
    assert again(world, tomorrow(world, accept(world))) == first


def tomorrow(world: World, run_id: str) -> str:
    world.sql("UPDATE runs SET run_date = run_date + 1 WHERE id = :id", id=run_id)
    return run_id


def test_files_that_are_gone_are_made_again(world: World) -> None:
    first = made(world, accept(world))
    runs.report_file(world.context, world.ann, first).path.unlink()
    assert again(world, accept(world)) is None


def test_files_that_were_removed_as_old_are_made_again(world: World) -> None:
    made(world, accept(world))
    world.sql("UPDATE runs SET expired_at = now()")
    assert again(world, accept(world)) is None


def test_files_that_are_removed_at_that_moment_are_not_taken_over(world: World) -> None:
    first = made(world, accept(world))
    file = runs.report_file(world.context, world.ann, first)
    world.sql("UPDATE runs SET expired_at = now() WHERE id = :id", id=first)  # after somebody found it
    claimed = world.claim(accept(world))
    artifacts = [attempts.NewArtifact("csv", Stored(file.digest, file.size_bytes), file.media_type)]
    with pytest.raises(LostFileError):
        attempts.publish(
            world.context, claimed, artifacts=artifacts, rejects=None, outcome=OUTCOME, source=first
        )
    assert world.state(claimed.run_id) == "running"


def test_a_claim_that_is_lost_publishes_nothing(world: World) -> None:
    made(world, accept(world))
    claimed = world.claim(accept(world))
    world.sql("UPDATE runs SET fence = fence + 1 WHERE id = :id", id=claimed.run_id)
    assert attempts.publish_again(world.context, claimed) is None
    assert world.state(claimed.run_id) == "running"
