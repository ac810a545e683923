"""Copies of reports: into a bucket of a server that speaks S3, into folders, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import httpx2
import obstore
import pytest
from obstore.store import S3Store

from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import outbox, report_runs
from reportgen_dagster.services.delivery import send_due
from reportgen_dagster.services.targets import url_problem
from reportgen_dagster.settings import Settings
from tests.services.conftest import World
from tests.services.delivering import deliver, let_pass, made, rows, told

REPORT = b"total\n2\n4\n"


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    httpx2.post(f"{server}/moto-api/reset").raise_for_status()
    httpx2.put(f"{server}/reports").raise_for_status()
    return S3Store.from_url("s3://reports", client_options={"allow_http": True})


def keys(bucket: S3Store) -> list[str]:
    return sorted(meta["path"] for page in obstore.list(bucket) for meta in page)


def copy_to(url: str, **more: object) -> dict[str, object]:
    return {"copy": {"url": url}, **more}


def place(run_id: str, report: str = "daily") -> str:
    return f"{report}/{utc_now().date()}-{run_id}/{report}.csv"


def test_a_success_is_copied_and_a_repetition_changes_nothing(world: World, bucket: S3Store) -> None:
    deliver(world, copy_to("s3://reports/out/here/"))
    run_id = made(world)
    assert send_due(world.context).delivered == 1
    key = f"out/here/{place(run_id)}"
    assert (keys(bucket), bytes(obstore.get(bucket, key).bytes())) == ([key], REPORT)
    (view,) = outbox.list_deliveries(world.context, world.ann)
    outbox.redeliver(world.context, world.ann, view.id)
    assert send_due(world.context).delivered == 1
    assert (keys(bucket), bytes(obstore.get(bucket, key).bytes())) == ([key], REPORT)


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_is_not_there_is_told_and_tried_again(world: World, server: str) -> None:
    deliver(world, copy_to("s3://elsewhere"))
    made(world)
    assert "The storage has no such bucket or folder." in send_due(world.context).failed[0]
    httpx2.put(f"{server}/elsewhere").raise_for_status()
    let_pass(world, 10)
    assert send_due(world.context).delivered == 1


def test_a_large_report_is_copied_in_parts(world: World, bucket: S3Store) -> None:
    content = b"total\n" + b"1234567\n" * 3_000_000
    deliver(world, copy_to("s3://reports"))
    run_id = report_runs.run_report(world.context, world.ann, "daily").id
    world.publish(world.claim(run_id), content)
    assert send_due(world.context, patience_seconds=60).delivered == 1
    assert bytes(obstore.get(bucket, place(run_id)).bytes()) == content


def test_a_folder_is_copied_to_only_where_it_is_allowed(world: World, tmp_path: Path) -> None:
    allowed, hidden = tmp_path / "exports", tmp_path / "hidden"
    allowed.mkdir()
    hidden.mkdir()
    with told(world, copy_targets=f"file://{allowed}", home=tmp_path / "home") as opened:
        deliver(opened, copy_to(f"file://{allowed}/ann"))
        run_id = made(opened)
        # Where it was put before the operator took the leave back, or the folder became a link.
        assert "does not allow it" in send_due(world.context).failed[0]
        (allowed / "ann").symlink_to(hidden)
        let_pass(world, 10)
        assert "does not allow it" in send_due(opened.context).failed[0]
        (allowed / "ann").unlink()
        let_pass(world, 20)
        assert send_due(opened.context).delivered == 1
    assert (allowed / "ann" / place(run_id)).read_bytes() == REPORT
    assert list(hidden.iterdir()) == []
    assert rows(world) == [("copy", "delivered", 3)]


@pytest.mark.parametrize(
    ("targets", "url", "is_allowed"),
    [
        ("", "s3://bucket/prefix", True),
        ("", "gs://bucket", True),
        ("", "file:///srv/reports", False),
        ("file:///srv/reports", "file:///srv/reports/ann", True),
        ("file:///srv/reports", "file:///srv/reports/../secret", False),
        ("file:///srv/reports", "file:///srv/reports2", False),
        ("file:///srv/reports", "file:///srv/reports/%2e%2e/secret", False),
        ("file:///srv/reports", "file:///", False),
        ("file:///srv/reports", "file://host/srv/reports", False),
        ("file:///srv/reports", "s3://bucket", False),
        ("s3://bucket/a, gs://other", "s3://bucket/a/b", True),
        ("s3://bucket/a, gs://other", "s3://bucket/ab", False),
        ("s3://bucket/a, gs://other", "s3://bucket/a/../b", False),
        ("s3://bucket/a, gs://other", "gs://other/x", True),
        ("", "s3://ann:secret@bucket/x", False),
        ("", "s3://bucket/x?y=z", False),
        ("", "s3:///x", False),
        ("", "https://bucket/x", False),
        ("", "s3://inbox/box", False),
        ("", "s3://inbox", False),
        ("", "s3://inbox/boxes", True),
    ],
)
def test_where_copies_may_go(tmp_path: Path, targets: str, url: str, is_allowed: bool) -> None:  # noqa: FBT001
    settings = Settings(home=tmp_path, copy_targets=targets, inbox="s3://inbox/box/")
    assert (url_problem(url, settings) == "") == is_allowed


def test_the_services_own_files_are_nobodys_target(world: World, tmp_path: Path) -> None:
    with told(world, copy_targets=f"file://{tmp_path}") as opened:
        for folder in (tmp_path, tmp_path / "storage" / "blobs", tmp_path / "secrets"):
            with pytest.raises(BadRequestError, match="keeps its own files there"):
                deliver(opened, copy_to(f"file://{folder}"))


def test_there_is_nothing_to_copy_of_a_failure(world: World) -> None:
    with pytest.raises(BadRequestError, match="after a success only"):
        deliver(world, copy_to("s3://reports", on=["success", "failure"]))
