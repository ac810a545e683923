"""The service with its files in a bucket: uploads, a run, downloads and links, while the network fails now and then."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from dagster import DagsterInstance

from api_gateway.main import create_app
from reportgen_dagster.defs.jobs import generate_report, run_config
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings
from tests.gateway.conftest import User, assert_problem, serve
from tests.storage.buckets import Bucket

REPORT = b"double,name\n2,one\n4,two\n"
ALWAYS = 10_000


@dataclass(frozen=True)
class Served:
    """A gateway over a bucket."""

    url: str
    bucket: Bucket
    settings: Settings
    context: Context

    def work(self, run_id: str) -> bool:
        """Carry out an accepted run, as a worker does."""
        with DagsterInstance.ephemeral() as instance:
            done = generate_report.execute_in_process(
                run_config=run_config(run_id), instance=instance, raise_on_error=False
            )
        return bool(done.success)


@pytest.fixture
def in_bucket(s3_bucket: Bucket, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    told = settings.model_copy(update={"storage_url": s3_bucket.url})
    for name, value in told.environment().items():
        monkeypatch.setenv(name, value)
    return told


@pytest.fixture
def served(s3_bucket: Bucket, in_bucket: Settings) -> Iterator[Served]:
    told = in_bucket.model_copy(update={"dagster_url": "http://127.0.0.1:9"})
    context = Context.open(told)
    try:
        for url in serve(create_app(told)):
            yield Served(url, s3_bucket, told, context)
    finally:
        context.close()


def test_from_the_upload_to_the_download_nothing_is_lost(served: Served) -> None:
    ann, proxy = User(served.url), served.bucket.proxy
    ann.upload()
    run_id = ann.generate()
    proxy.spoil("error", "PUT")
    proxy.spoil("cut", "GET")
    assert served.work(run_id)
    assert not any(fault.times for fault in proxy.faults)
    download = f"/api/download-report/{run_id}/"
    whole = ann.http.get(download)
    assert (whole.status_code, whole.content) == (200, REPORT)
    assert whole.headers["ETag"] == f'"{hashlib.sha256(REPORT).hexdigest()}"'
    assert whole.headers["Content-Disposition"] == 'attachment; filename="default.csv"'
    assert whole.headers["Content-Type"] == "text/csv; charset=utf-8"
    for asked, status, body in (
        ("bytes=7-", 206, REPORT[7:]),
        ("bytes=2-5", 206, REPORT[2:6]),
        ("bytes=-4", 206, REPORT[-4:]),
        ("bytes=0-1,3-4", 200, REPORT),
    ):
        part = ann.http.get(download, headers={"Range": asked})
        assert (part.status_code, part.content) == (status, body)
        if status == 206:
            start = REPORT.index(body)
            assert part.headers["Content-Range"] == f"bytes {start}-{start + len(body) - 1}/{len(REPORT)}"
    assert_problem(ann.http.get(download, headers={"Range": "bytes=24-"}), 416)
    proxy.asked.clear()
    head = ann.http.head(download)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(REPORT)))
    assert ann.http.get(download, headers={"If-None-Match": head.headers["ETag"]}).status_code == 304
    assert {method for method, _ in proxy.asked} == {"HEAD"}, "nothing is fetched to tell of it"
    url = ann.http.post(f"/api/v1/runs/{run_id}/links").json()["url"]
    assert url.startswith(proxy.url)
    linked = httpx2.get(url)
    assert (linked.content, linked.headers["Content-Disposition"]) == (
        REPORT,
        'attachment; filename="default.csv"',
    )
    assert [one for one in served.settings.storage_path.rglob("*") if one.is_file()] == []


def test_a_download_is_cut_rather_than_given_damaged(served: Served) -> None:
    ann, proxy = User(served.url), served.bucket.proxy
    content = b"key,price\n" + os.urandom(1_500_000).hex().encode() + b",1\n"
    with served.context.store.new_blob() as blob:
        blob.write(content)
        digest = blob.finish().digest
    ann.upload()
    run_id = ann.generate()
    assert served.work(run_id)
    with served.context.catalog.transaction() as session:
        session.connection().exec_driver_sql(
            "UPDATE artifacts SET digest = %s, size_bytes = %s", (digest, len(content))
        )
    proxy.spoil("flipped", "GET")
    with pytest.raises(httpx2.RemoteProtocolError):
        ann.http.get(f"/api/download-report/{run_id}/")
    assert ann.http.get(f"/api/download-report/{run_id}/").content == content


def test_a_run_whose_storage_is_away_is_made_later(served: Served, s3_bucket: Bucket) -> None:
    ann = User(served.url)
    ann.upload()
    run_id = ann.generate()
    s3_bucket.proxy.spoil("error", "GET", ALWAYS)
    assert not served.work(run_id)
    assert ann.http.get(f"/api/task-status/{run_id}/").json()["status"] == "accepted"
    s3_bucket.proxy.spoil("error", "GET", ALWAYS, path="list-type")
    not_ready = ann.http.get("/readyz")
    assert "storage" in {problem["path"] for problem in not_ready.json()["errors"]}
    assert s3_bucket.proxy.url not in not_ready.text
    s3_bucket.proxy.faults.clear()
    assert served.work(run_id)
    assert ann.http.get(f"/api/download-report/{run_id}/").content == REPORT
