from __future__ import annotations

import pytest

from reportgen_dagster.errors import MissingInputError, RulesError
from reportgen_dagster.services import runs, schedules, uploads
from reportgen_dagster.services.uploads import RulesText
from tests.services.conftest import REFERENCE, RULES, World

NO_LOOKUP = RulesText(
    "long.yaml",
    "version: 1\nsteps:\n  - derive: {total: cell_number(price) * 2}\noutput:\n  columns: {total: total}\n",
    "yaml",
)


def test_rules_and_files_that_fit_are_accepted(world: World) -> None:
    view = runs.accept_run(world.context, world.ann, files=world.files(), rules=RULES)
    assert set(world.claim(view.id).files) == {"input", "reference"}


def test_rules_that_do_not_fit_the_files_are_refused(world: World) -> None:
    wrong = RulesText("rules.yaml", '- {output: total, formula: "prise * 2"}\n', "yaml")
    with pytest.raises(RulesError, match="prise"):
        runs.accept_run(world.context, world.ann, files=world.files(), rules=wrong)
    with pytest.raises(RulesError, match="prise"):
        schedules.put_schedule(
            world.context, world.ann, report_name=None, cron="0 6 * * *", files=world.files(), rules=wrong
        )
    uploads.accept_files(world.context, world.ann, world.files())
    with pytest.raises(RulesError, match="prise"):
        runs.accept_run(world.context, world.ann, files={}, rules=wrong)


def test_a_reference_without_a_shared_column_is_refused(world: World) -> None:
    files = world.files() | {"reference": world.file(b"code,name\nA,apple\n", "reference")}
    with pytest.raises(RulesError):
        runs.accept_run(world.context, world.ann, files=files, rules=RULES)


def test_the_short_form_needs_a_reference(world: World) -> None:
    with pytest.raises(MissingInputError, match=r"^reference: "):
        runs.accept_run(world.context, world.ann, files={"input": world.file()}, rules=RULES)


def test_wrong_rules_are_told_before_a_missing_reference(world: World) -> None:
    wrong = RulesText("rules.yaml", '- {output: total, formula: "maxx(price)"}\n', "yaml")
    with pytest.raises(RulesError, match="maxx"):
        runs.accept_run(world.context, world.ann, files={"input": world.file()}, rules=wrong)


def test_rules_that_are_wrong_by_themselves_are_told_with_what_does_not_fit(world: World) -> None:
    text = '- {output: total, formula: "maxx(price)"}\n- {output: other, formula: prise}\n- {output: third}\n'
    with pytest.raises(RulesError) as caught:
        runs.accept_run(
            world.context, world.ann, files=world.files(), rules=RulesText("rules.yaml", text, "yaml")
        )
    assert [problem.path for problem in caught.value.problems] == [
        "[0].formula",
        "[1].formula",
        "[2].formula",
    ]


def test_a_file_that_the_rules_do_not_name_is_refused(world: World) -> None:
    files = world.files() | {"rates": world.file(REFERENCE, "rates")}
    with pytest.raises(RulesError, match="rates"):
        runs.accept_run(world.context, world.ann, files=files, rules=RULES)


def test_rules_without_a_lookup_do_not_take_the_last_uploaded_reference(world: World) -> None:
    uploads.accept_files(world.context, world.ann, world.files())
    view = runs.accept_run(world.context, world.ann, files={}, rules=NO_LOOKUP)
    assert set(world.claim(view.id).files) == {"input"}


def test_rules_without_a_lookup_need_no_reference(world: World) -> None:
    view = runs.accept_run(world.context, world.ann, files={"input": world.file()}, rules=NO_LOOKUP)
    assert set(world.claim(view.id).files) == {"input"}
