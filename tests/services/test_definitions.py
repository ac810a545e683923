"""What Dagster's definitions are built from."""

from __future__ import annotations

from reportgen_dagster.identity import digest_text, location_name
from reportgen_dagster.services import datasets, definitions, reports, rulesets, schedules, ticks, uploads
from reportgen_dagster.services.context import Context
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
    def changed() -> bool:
        is_changed = definitions.changed_locations(world.context) == ["reports"]
        definitions.note_loaded(world.context, "reports", definitions.everything(world.context).fingerprint)
        assert definitions.changed_locations(world.context) == []
        return is_changed

    assert changed(), "nothing was loaded yet"

    schedule, run = put(world)
    assert changed()
    world.publish(world.claim(run.id))
    ticks.accept_tick(world.context, schedule.id, DUE, now=DUE)
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


def _load(world: World, shard: int = 0, shards: int = 1) -> None:
    loaded = definitions.everything(world.context, shard, shards)
    definitions.note_loaded(world.context, location_name(shard), loaded.fingerprint)


def test_a_reload_that_failed_is_remembered_and_tried_again_until_one_succeeds(world: World) -> None:
    _load(world)
    assert definitions.note_reloaded(world.context, "reports", 0.1, "the code server is away")
    assert not definitions.note_reloaded(world.context, "reports", 0.1, "the code server is away"), (
        "told once"
    )
    assert definitions.note_reloaded(world.context, "reports", 0.1, "it is broken")
    assert definitions.load_problems(world.context) == {"reports": "it is broken"}
    assert definitions.changed_locations(world.context) == ["reports"]
    assert not definitions.note_reloaded(world.context, "reports", 0.1, None)
    assert (definitions.load_problems(world.context), definitions.changed_locations(world.context)) == (
        {},
        [],
    )


def test_a_location_rests_after_a_reload_as_long_as_that_took_but_at_least_five_seconds(world: World) -> None:
    def rested(seconds: int) -> bool:
        world.sql(
            "UPDATE loaded_definitions SET reloaded_at = clock_timestamp() - make_interval(secs => :s)",
            s=seconds,
        )
        return not definitions.is_resting(world.context, "reports")

    assert not definitions.is_resting(world.context, "reports"), "it was never reloaded"
    definitions.note_reloaded(world.context, "reports", 0.1, None)
    assert definitions.is_resting(world.context, "reports")
    assert not rested(4)
    assert rested(6)
    definitions.note_reloaded(world.context, "reports", 20.0, None)
    assert not rested(18)
    assert rested(22)


def test_a_location_that_loaded_another_part_than_it_should_is_noticed(world: World) -> None:
    put(world)
    wanted = definitions.wanted_fingerprint(world.context, "reports")
    definitions.note_loaded(world.context, "reports", "of another number of shards")
    assert definitions.is_at_odds(world.context, "reports", wanted)
    assert not definitions.is_at_odds(world.context, "reports", "something changed meanwhile")
    _load(world)
    assert not definitions.is_at_odds(world.context, "reports", wanted)


def test_one_process_reloads_at_a_time(world: World) -> None:
    with definitions.reload_lock(world.context) as first, definitions.reload_lock(world.context) as second:
        assert (first, second) == (True, False)
    with definitions.reload_lock(world.context) as again:
        assert again


def test_shards_share_everything_out_and_a_change_concerns_the_one_it_falls_to(world: World) -> None:
    for number in range(12):
        put(world, report_name=f"report {number}")
    whole = definitions.everything(world.context)
    parts = [definitions.everything(world.context, shard, 3) for shard in range(3)]
    for kind in ("reports", "datasets", "rulesets"):
        ids = [one.id for part in parts for one in getattr(part, kind)]
        assert sorted(ids) == [one.id for one in getattr(whole, kind)]
    context = Context.open(world.context.settings.model_copy(update={"shards": 3}))
    for shard in range(3):
        _load(world, shard, 3)
    assert definitions.changed_locations(context) == []
    shard, changed = next((shard, part.reports[0]) for shard, part in enumerate(parts) if part.reports)
    schedules.pause(world.context, world.ann, changed.schedules[0].id)
    assert definitions.changed_locations(context) == [location_name(shard)]
    context.close()


def test_reports_of_a_run_are_found_in_whichever_shard(world: World) -> None:
    put(world, report_name="one")
    put(world, report_name="two")
    put(world, world.bob, report_name="one")
    found = definitions.some_reports(world.context, {world.ann}, lambda _, name: name == "one")
    assert [(report.owner_id, report.name) for report in found] == [(world.ann, "one")]
