"""Named rulesets: versions, who sees them, what a deletion leaves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from reportgen_dagster.errors import BadRequestError, ConflictError, NotFoundError, RulesError
from reportgen_dagster.services import rulesets, uploads
from reportgen_dagster.services.reports import Pick
from reportgen_dagster.services.rulesets import RulesetVersionView
from reportgen_dagster.services.uploads import RulesText
from tests.services.conftest import RULES, World, fits
from tests.services.named import make_report, put_report
from tests.services.test_datasets import ODD_NAMES

OTHER = RulesText("other.json", '[{"output": "total", "formula": "price * 3"}]', "json")
TITLED = RulesText(
    "long.yaml",
    "version: 1\ntitle: Prices\nsteps:\n  - derive: {double: price * 2}\n",
    "yaml",
)


def put(
    world: World, rules: RulesText = RULES, name: str = "doubled", owner_id: str = ""
) -> RulesetVersionView:
    return rulesets.put_ruleset(world.context, owner_id or world.ann, name, rules, check=fits)


def test_another_text_is_a_new_version_and_the_same_text_is_none(world: World) -> None:
    numbers = [put(world, rules).number for rules in (RULES, RULES, OTHER, RULES)]
    assert numbers == [1, 1, 2, 3]
    found = rulesets.list_versions(world.context, world.ann, "doubled")
    assert [(version.number, version.rules) for version in found] == [(3, RULES), (2, OTHER), (1, RULES)]
    assert rulesets.get_version(world.context, world.ann, "doubled") == found[0]
    assert rulesets.get_version(world.context, world.ann, "doubled", 2) == found[1]
    with pytest.raises(NotFoundError, match="doubled has no version 4; the latest is 3"):
        rulesets.get_version(world.context, world.ann, "doubled", 4)


def test_versions_that_come_at_once_get_different_numbers(world: World) -> None:
    texts = [RulesText("r.yaml", f"- {{output: a, formula: '{n}'}}", "yaml") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        numbers = pool.map(lambda rules: put(world, rules).number, texts)
    assert sorted(numbers) == list(range(1, 9))


def test_rules_are_checked_before_anything_is_kept(world: World) -> None:
    wrong = RulesText("wrong.yaml", "- {output: a, formula: maxx(1)}\n- {output: b, formula: 1 +}\n", "yaml")
    with pytest.raises(RulesError) as refusal:
        rulesets.put_ruleset(world.context, world.ann, "doubled", wrong)
    assert [(problem.source, problem.line) for problem in refusal.value.problems] == [
        ("wrong.yaml", 1),
        ("wrong.yaml", 2),
    ]
    assert rulesets.list_rulesets(world.context, world.ann) == []


def test_rules_tell_their_title(world: World) -> None:
    version = rulesets.put_ruleset(world.context, world.ann, "prices", TITLED)
    assert version.title == "Prices"
    (listed,) = rulesets.list_rulesets(world.context, world.ann)
    assert (listed.name, listed.latest) == ("prices", version)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_that_cannot_be_used_are_refused(world: World, name: str) -> None:
    with pytest.raises(BadRequestError, match="ruleset"):
        put(world, name=name)
    assert rulesets.list_rulesets(world.context, world.ann) == []


def test_last_uploads_are_no_named_rulesets(world: World) -> None:
    uploads.accept_rules(world.context, world.ann, RULES)
    world.run()
    put(world)
    assert [one.name for one in rulesets.list_rulesets(world.context, world.ann)] == ["doubled"]
    with pytest.raises(NotFoundError):
        rulesets.get_version(world.context, world.ann, "default")


@pytest.mark.parametrize("name", ["doubled", "nosuch", *ODD_NAMES])
def test_what_belongs_to_somebody_else_is_told_like_what_is_not_there(world: World, name: str) -> None:
    put(world)
    for ask in (rulesets.get_version, rulesets.list_versions, rulesets.reports_by, rulesets.delete_ruleset):
        with pytest.raises(NotFoundError) as refusal:
            ask(world.context, world.bob, name)
        assert (refusal.value.detail, refusal.value.case_hint) == (f"There is no ruleset {name}.", "")
    assert rulesets.list_rulesets(world.context, world.bob) == []


def test_a_wrong_name_is_told_with_the_nearest(world: World) -> None:
    put(world)
    with pytest.raises(NotFoundError) as refusal:
        rulesets.get_version(world.context, world.ann, "double")
    assert refusal.value.case_hint == "Did you mean doubled?"


def test_a_ruleset_that_reports_are_made_by_is_not_deleted(world: World) -> None:
    make_report(world, "daily")
    put_report(world, "pinned", ruleset=Pick("doubled", 1))
    assert rulesets.reports_by(world.context, world.ann, "doubled") == ["daily", "pinned"]
    with pytest.raises(ConflictError, match=r"the ruleset doubled: daily, pinned\."):
        rulesets.delete_ruleset(world.context, world.ann, "doubled")
    assert rulesets.get_version(world.context, world.ann, "doubled").number == 1


def test_a_deleted_name_is_free_again(world: World) -> None:
    for rules in (RULES, OTHER):
        put(world, rules)
    rulesets.delete_ruleset(world.context, world.ann, "doubled")
    with pytest.raises(NotFoundError):
        rulesets.get_version(world.context, world.ann, "doubled")
    assert put(world, OTHER).number == 1
