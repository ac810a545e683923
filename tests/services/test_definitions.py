"""What Dagster's definitions are built from."""

from __future__ import annotations

from reportgen_dagster.identity import digest_text
from reportgen_dagster.services import datasets, definitions, reports, rulesets, schedules, uploads
from reportgen_dagster.services.reports import Pick, ReportWish
from reportgen_dagster.services.uploads import RulesText
from tests.services.conftest import RULES, World, fits
from tests.services.test_schedules import DUE, put


def test_definitions_tell_everything_that_dagster_shows(world: World) -> None:
    schedule, _ = put(world, report_name="Desk margin")
    put(world, world.bob)
    found = {report.name: report for report in definitions.everything(world.context).reports}
    assert set(found) == {"Desk margin", "daily"}
    report = found["Desk margin"]
    assert report.owner_email == "ann@example.com"
    assert report.datasets == {"input": "Desk margin-input", "reference": "Desk margin-reference"}
    assert (report.ruleset_name, report.rules_text, report.is_pinned) == ("Desk margin", RULES.text, True)
    assert report.ruleset_digest == digest_text(RULES.text)
    assert [(one.id, one.name, one.cron) for one in report.schedules] == [(schedule.id, "main", "0 6 * * *")]


def test_last_uploads_and_what_was_deleted_are_no_definitions(world: World) -> None:
    uploads.accept_files(world.context, world.ann, world.files())
    uploads.accept_rules(world.context, world.ann, RULES)
    world.run()
    datasets.add_version(world.context, world.ann, "trades", world.file(b"key,price\nA,1\n"))
    rulesets.put_ruleset(world.context, world.ann, "margin", RULES, check=fits)
    found = definitions.everything(world.context)
    assert [one.name for one in found.datasets] == ["trades"]
    assert [one.name for one in found.rulesets] == ["margin"]
    datasets.delete_dataset(world.context, world.ann, "trades")
    rulesets.delete_ruleset(world.context, world.ann, "margin")
    found = definitions.everything(world.context)
    assert (found.datasets, found.rulesets, found.reports) == ((), (), ())


def test_the_fingerprint_changes_exactly_when_definitions_do(world: World) -> None:
    seen = [definitions.fingerprint(world.context)]

    def changed() -> bool:
        seen.append(definitions.fingerprint(world.context))
        return seen[-1] != seen[-2]

    schedule, run = put(world)
    assert changed()
    assert definitions.everything(world.context).fingerprint == seen[-1]
    world.publish(world.claim(run.id))
    schedules.accept_tick(world.context, schedule.id, DUE, now=DUE)
    put(world, files=world.files() | {"input": world.file(b"key,price\nZ,9\n")})
    assert not changed(), "runs and new files change no definition"
    schedules.pause(world.context, world.ann, schedule.id)
    assert changed()
    schedules.pause(world.context, world.ann, schedule.id)
    assert not changed()
    for change in ({"cron": "*/5 * * * *"}, {"timezone": "Europe/Berlin"}, {"parameters": {"desk": "FX"}}):
        put(world, **change)
        assert changed()
    put(world, rules=RulesText("r.yaml", "[]", "yaml"))
    assert changed()
    schedules.add_schedule(world.context, world.ann, "daily", name="other", cron="0 1 * * *")
    assert changed()
    reports.pause_report(world.context, world.ann, "daily")
    assert changed()
    schedules.delete_schedule(world.context, world.ann, schedule.id)
    assert changed()
    reports.delete_report(world.context, world.ann, "daily")
    assert changed()


def test_a_report_that_follows_shows_the_latest_rules(world: World) -> None:
    for name, body in (("in", b"key,price\nA,1\n"), ("ref", b"key,rate\nA,2\n")):
        datasets.add_version(world.context, world.ann, name, world.file(body))
    rulesets.put_ruleset(world.context, world.ann, "margin", RULES, check=fits)
    wish = ReportWish(Pick("margin"), {"input": Pick("in"), "reference": Pick("ref")})
    reports.put_report(world.context, world.ann, "daily", wish, check=fits)
    changed = RulesText("r.yaml", "- {output: b, formula: '2'}", "yaml")
    rulesets.put_ruleset(world.context, world.ann, "margin", changed, check=fits)
    report = definitions.everything(world.context).reports[0]
    assert (report.ruleset_version, report.rules_text, report.is_pinned) == (2, changed.text, False)


def test_what_a_location_loaded_is_remembered(world: World) -> None:
    assert definitions.loaded_fingerprint(world.context, "reports") is None
    definitions.note_problem(world.context, "reports", "the code server is away")
    assert definitions.loaded_fingerprint(world.context, "reports") is None
    for fingerprint in ("a" * 64, "b" * 64):
        definitions.note_loaded(world.context, "reports", fingerprint)
        assert definitions.loaded_fingerprint(world.context, "reports") == fingerprint
        assert definitions.load_problem(world.context, "reports") is None
    definitions.note_problem(world.context, "reports", "broken")
    assert definitions.loaded_fingerprint(world.context, "reports") == "b" * 64
    assert definitions.load_problem(world.context, "reports") == "broken"
