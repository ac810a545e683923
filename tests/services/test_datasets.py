"""Named datasets: versions, who sees them, when they are expected, what a deletion leaves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from reportgen_dagster.catalog import reports as report_catalog
from reportgen_dagster.catalog.reports import Source
from reportgen_dagster.errors import (
    BadRequestError,
    ConflictError,
    CronError,
    NotFoundError,
    ReportgenError,
    ServiceError,
)
from reportgen_dagster.services import datasets, uploads
from tests.services.conftest import INPUT, World
from tests.services.named import make_report, put_report, wait_for_a_blocked_session

ODD_NAMES = [
    "",
    "  ",
    "x" * 101,
    "a\nb",
    "a\0b",
    "a/b",
    "\udcff",
    "default",
    "default-input",
    f"run-{'0' * 32}-input",
]


def add(world: World, name: str = "trades", content: bytes = INPUT, owner_id: str = "") -> int:
    added = datasets.add_version(world.context, owner_id or world.ann, name, world.file(content))
    return added.number


def test_new_bytes_are_a_new_version_and_the_same_bytes_are_none(world: World) -> None:
    assert [add(world), add(world), add(world, content=b"key,price\nC,3\n"), add(world)] == [1, 1, 2, 3]
    found = datasets.list_versions(world.context, world.ann, "trades")
    assert [version.number for version in found] == [3, 2, 1]
    assert found[0].digest == found[2].digest != found[1].digest
    assert found[1].columns == ["key", "price"]
    assert datasets.get_dataset(world.context, world.ann, "trades").latest == found[0]


def test_each_version_keeps_its_bytes(world: World) -> None:
    contents = [b"key,price\r\nA,1\r\n", b"\xef\xbb\xbfkey,price\nB,2", b"key;price\nC;3\n"]
    for content in contents:
        add(world, content=content)
    for number, content in enumerate(contents, 1):
        file = datasets.version_file(world.context, world.ann, "trades", number)
        assert (file.path.read_bytes(), file.size_bytes, file.filename) == (
            content,
            len(content),
            "input.csv",
        )
    assert datasets.version_file(world.context, world.ann, "trades").path.read_bytes() == contents[-1]
    with pytest.raises(NotFoundError, match="trades has no version 4; the latest is 3"):
        datasets.version_file(world.context, world.ann, "trades", 4)


def test_a_file_that_is_gone_from_storage_is_our_fault(world: World) -> None:
    add(world)
    datasets.version_file(world.context, world.ann, "trades").path.unlink()
    with pytest.raises(ServiceError, match="missing in storage"):
        datasets.version_file(world.context, world.ann, "trades")


def test_versions_that_come_at_once_get_different_numbers(world: World) -> None:
    files = [world.file(b"key,price\nA,%d\n" % n) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        added = pool.map(lambda file: datasets.add_version(world.context, world.ann, "trades", file), files)
    assert sorted(version.number for version in added) == list(range(1, 9))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_that_cannot_be_used_are_refused(world: World, name: str) -> None:
    with pytest.raises(BadRequestError, match="dataset"):
        add(world, name)
    assert datasets.list_datasets(world.context, world.ann) == []


def test_blanks_around_a_name_do_not_count(world: World) -> None:
    assert [add(world, " trades "), add(world, "trades", b"key\nA\n")] == [1, 2]


def test_last_uploads_and_files_of_single_runs_are_no_named_datasets(world: World) -> None:
    uploads.accept_files(world.context, world.ann, world.files())
    world.run()
    add(world)
    assert [one.name for one in datasets.list_datasets(world.context, world.ann)] == ["trades"]
    with pytest.raises(NotFoundError):
        datasets.get_dataset(world.context, world.ann, "default-input")


@pytest.mark.parametrize("name", ["trades", "nosuch", *ODD_NAMES])
def test_what_belongs_to_somebody_else_is_told_like_what_is_not_there(world: World, name: str) -> None:
    add(world)
    for ask in (
        datasets.get_dataset,
        datasets.list_versions,
        datasets.version_file,
        datasets.reports_of,
        datasets.delete_dataset,
    ):
        with pytest.raises(NotFoundError) as refusal:
            ask(world.context, world.bob, name)
        assert (refusal.value.detail, refusal.value.case_hint) == (f"There is no dataset {name}.", "")
    with pytest.raises(NotFoundError):
        datasets.expect_dataset(world.context, world.bob, name, cron="0 6 * * *")
    assert datasets.list_datasets(world.context, world.bob) == []


def test_a_wrong_name_is_told_with_the_nearest(world: World) -> None:
    for name in ("trades", "prices"):
        add(world, name)
    with pytest.raises(NotFoundError) as refusal:
        datasets.get_dataset(world.context, world.ann, "trade")
    assert refusal.value.case_hint == "Did you mean trades?"


def test_when_versions_are_expected(world: World) -> None:
    add(world)
    told = datasets.expect_dataset(
        world.context, world.ann, "trades", cron="0  6 * * 1-5", timezone="Europe/Berlin", within_seconds=7200
    )
    assert told.expected is not None
    assert (told.expected.cron, told.expected.timezone) == ("0 6 * * 1-5", "Europe/Berlin")
    assert told.expected.within_seconds == 7200
    assert datasets.list_datasets(world.context, world.ann) == [told]
    assert datasets.expect_dataset(world.context, world.ann, "trades", cron=None).expected is None


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"cron": "61 * * * *"}, CronError),
        ({"timezone": "Mars/Base"}, CronError),
        ({"within_seconds": 0}, BadRequestError),
        ({"within_seconds": 32 * 24 * 3600}, BadRequestError),
    ],
)
def test_times_that_cannot_be_meant_are_refused(
    world: World, changed: dict[str, object], error: type[ReportgenError]
) -> None:
    add(world)
    given = {"cron": "0 6 * * *", "timezone": "UTC", "within_seconds": 60} | changed
    with pytest.raises(error):
        datasets.expect_dataset(world.context, world.ann, "trades", **given)
    assert datasets.get_dataset(world.context, world.ann, "trades").expected is None


def test_a_dataset_that_reports_are_made_of_is_not_deleted(world: World) -> None:
    make_report(world, "daily")
    put_report(world, "pinned", input_version=1)
    assert datasets.reports_of(world.context, world.ann, "trades") == ["daily", "pinned"]
    with pytest.raises(ConflictError, match=r"the dataset trades: daily, pinned\."):
        datasets.delete_dataset(world.context, world.ann, "trades")
    assert datasets.get_dataset(world.context, world.ann, "trades").latest.number == 1


def test_a_deleted_name_is_free_again(world: World) -> None:
    add(world)
    add(world, content=b"key,price\nC,3\n")
    datasets.delete_dataset(world.context, world.ann, "trades")
    with pytest.raises(NotFoundError):
        datasets.get_dataset(world.context, world.ann, "trades")
    assert add(world) == 1
    datasets.delete_dataset(world.context, world.ann, "trades")
    assert datasets.list_datasets(world.context, world.ann) == []


def test_a_report_that_is_just_being_made_keeps_its_dataset(world: World) -> None:
    make_report(world, "daily")
    add(world, "late")
    with ThreadPoolExecutor(1) as pool:
        with world.context.catalog.transaction() as session:
            daily = report_catalog.of_owner(session, world.ann)[0]
            dataset = datasets.find_own(session, world.ann, "late")
            report_catalog.put(
                session,
                owner_id=world.ann,
                name="second",
                ruleset_id=daily.ruleset_id,
                ruleset_version_id=None,
                parameters={},
                sources={"input": Source(dataset.id)},
            )
            deletion = pool.submit(datasets.delete_dataset, world.context, world.ann, "late")
            wait_for_a_blocked_session(world)
        with pytest.raises(ConflictError, match="second"):
            deletion.result(timeout=60)
