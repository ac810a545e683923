"""Buckets whose server or network fails on the way: no file is torn or lost, and what cannot be done is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pytest

from reportgen_dagster.errors import DamagedFileError, ServiceError, UnavailableError
from reportgen_dagster.storage import store_bucket
from reportgen_dagster.storage.store import Stored
from reportgen_dagster.storage.store_bucket import PART_BYTES, BucketStore
from tests.storage.buckets import Bucket
from tests.storage.faults import Kind, Proxy, pass_on

CONTENT = os.urandom(100_000)
ALWAYS = 10_000
# Stores the file whose path comes in, in a process of its own each time, once another line came.
STORING = """
import os, sys
from pathlib import Path
from reportgen_dagster.storage.opening import open_store
for line in sys.stdin:
    child = os.fork()
    if not child:
        print(os.getpid(), flush=True)
        sys.stdin.readline()
        with open_store(sys.argv[1], Path(sys.argv[2])).new_blob() as blob:
            blob.write(Path(line.strip()).read_bytes())
            blob.finish()
        os._exit(0)
    print("finished" if os.waitpid(child, 0)[1] == 0 else "killed", flush=True)
"""
PASSING: list[tuple[Kind, str, int]] = [
    ("error", "PUT", 2),
    ("error afterwards", "PUT", 1),
    ("silence", "PUT", 1),
    ("cut request", "PUT", 1),
    ("flipped request", "PUT", 1),
    ("error", "HEAD", 2),
    ("silence", "HEAD", 1),
]
OF_READING: list[tuple[Kind, str, int]] = [
    ("error", "GET", 2),
    ("silence", "GET", 1),
    ("cut", "GET", 2),
    ("short", "GET", 2),
    ("flipped", "GET", 1),
    ("error", "HEAD", 1),
]


@pytest.fixture
def store(bucket: Bucket, tmp_path: Path) -> BucketStore:
    return bucket.store(tmp_path / "storage")


def put(store: BucketStore, content: bytes = CONTENT) -> Stored:
    with store.new_blob() as blob:
        blob.write(content)
        return blob.finish()


def scratch(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "storage").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("kind", "method", "times"), PASSING)
def test_what_goes_wrong_for_a_while_is_got_over(
    bucket: Bucket, store: BucketStore, tmp_path: Path, kind: Kind, method: str, times: int
) -> None:
    bucket.proxy.spoil(kind, method, times)
    stored = put(store)
    assert store.fetch(stored.digest, tmp_path).read_bytes() == CONTENT
    assert list(store.digests()) == [stored.digest]
    assert scratch(tmp_path) == []
    assert not any(fault.times for fault in bucket.proxy.faults), "the fault was met"


@pytest.mark.parametrize("kind", ["error", "cut request", "flipped request", "silence"])
def test_of_several_parts_each_may_fail(bucket: Bucket, store: BucketStore, kind: Kind) -> None:
    content = os.urandom(PART_BYTES + 100_000)
    bucket.proxy.spoil(kind, "PUT", path="partNumber=2")
    assert store.verify(put(store, content).digest)
    assert not any(fault.times for fault in bucket.proxy.faults)


@pytest.mark.parametrize("kind", ["flipped request"])
@pytest.mark.parametrize("size", [len(CONTENT), PART_BYTES + 100_000])
def test_what_always_arrives_damaged_is_not_left_there(
    bucket: Bucket, store: BucketStore, tmp_path: Path, kind: Kind, size: int
) -> None:
    bucket.proxy.spoil(kind, "PUT", ALWAYS)
    with pytest.raises(ServiceError, match="damaged"):
        put(store, os.urandom(size))
    assert bucket.all_keys() == []
    assert scratch(tmp_path) == []


@pytest.mark.parametrize("kind", ["error", "cut request"])
def test_a_storage_that_takes_nothing_is_away(
    bucket: Bucket, store: BucketStore, tmp_path: Path, kind: Kind
) -> None:
    bucket.proxy.spoil(kind, "PUT", ALWAYS)
    with pytest.raises(UnavailableError, match="storage"):
        put(store)
    assert bucket.all_keys() == []
    assert scratch(tmp_path) == []


@pytest.mark.parametrize("size", [1000, PART_BYTES + 1000])
def test_whoever_stores_and_is_killed_at_any_request_leaves_nothing_torn(
    bucket: Bucket, store: BucketStore, tmp_path: Path, size: int
) -> None:
    command = [sys.executable, "-c", STORING, bucket.url, str(tmp_path / "storage")]
    source = tmp_path / "source"
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as storing:
        assert storing.stdin
        assert storing.stdout
        ended, step = "", 0
        while ended != "finished":
            step += 1
            source.write_bytes(os.urandom(size))
            print(source, file=storing.stdin, flush=True)
            _kill_at(bucket.proxy, step, int(storing.stdout.readline()))
            print("go", file=storing.stdin, flush=True)
            ended = storing.stdout.readline().strip()
            bucket.proxy.before = pass_on
            assert [digest for digest in store.digests() if not store.verify(digest)] == []
        storing.stdin.close()
    assert step > 3, "it is killed before some requests"
    assert store.remove_stale(older_than_seconds=-1) == step - 1
    assert scratch(tmp_path) == []
    assert store.verify(put(store, source.read_bytes()).digest)


def _kill_at(proxy: Proxy, step: int, process_id: int) -> None:
    """Kill a process when it asks the n-th time; its request arrives all the same."""
    asked = count(1)

    def kill(_method: str, _path: str) -> None:
        if next(asked) == step:
            os.kill(process_id, signal.SIGKILL)

    proxy.before = kill


@pytest.mark.parametrize(("kind", "method", "times"), OF_READING)
def test_a_file_is_read_whole_in_spite_of(
    bucket: Bucket, store: BucketStore, tmp_path: Path, kind: Kind, method: str, times: int
) -> None:
    stored = put(store)
    bucket.proxy.spoil(kind, method, times)
    assert store.fetch(stored.digest, tmp_path).read_bytes() == CONTENT
    assert not any(fault.times for fault in bucket.proxy.faults)


@pytest.mark.parametrize(
    ("kind", "told"),
    [("error", UnavailableError), ("short", UnavailableError), ("flipped", DamagedFileError)],
)
def test_what_cannot_be_read_whole_is_told_and_never_given_whole(
    bucket: Bucket, store: BucketStore, tmp_path: Path, kind: Kind, told: type[ServiceError]
) -> None:
    stored = put(store)
    bucket.proxy.spoil(kind, "GET", ALWAYS)
    with pytest.raises(told):
        store.fetch(stored.digest, tmp_path)
    given: list[bytes] = []

    def read() -> None:
        for chunk in store.chunks(stored.digest):
            given.append(chunk)  # noqa: PERF402 - what came before it raises counts

    with pytest.raises(told):
        read()
    assert len(b"".join(given)) < len(CONTENT)


def test_a_storage_that_is_away_is_not_one_without_the_file(bucket: Bucket, store: BucketStore) -> None:
    stored = put(store)
    bucket.proxy.spoil("error", "HEAD", ALWAYS)
    for ask in (store.exists, store.verify):
        with pytest.raises(UnavailableError):
            ask(stored.digest)


def test_a_bucket_that_is_not_there_is_told(bucket: Bucket, tmp_path: Path) -> None:
    scheme = bucket.url.partition(":")[0]
    store = BucketStore(f"{scheme}://no-such-bucket/x", tmp_path)
    with pytest.raises(ServiceError, match="storage"):
        store.ping()
    with pytest.raises(ServiceError, match="storage"):
        put(store)


@pytest.mark.parametrize("is_large", [False, True])
def test_a_file_that_is_stored_while_it_is_removed_is_not_lost(
    bucket: Bucket,
    store: BucketStore,
    is_large: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Whoever removes it has looked at its age, and asks to delete it; right before that somebody stores it anew."""
    content = os.urandom(PART_BYTES + 1) if is_large else CONTENT
    digest = put(store, content).digest
    looked, storer = threading.Event(), threading.Thread(target=put, args=(store, content))

    def is_deletion(method: str, path: str) -> bool:
        return (method == "DELETE" and "/blobs/" in path) or (method == "POST" and "delete" in path)

    def meanwhile(method: str, path: str) -> None:
        if is_deletion(method, path) and not storer.is_alive() and not looked.is_set():
            storer.start()
            assert looked.wait(20)
        elif method == "GET" and "removing" in path and storer.is_alive():
            looked.set()

    bucket.proxy.before = meanwhile
    store.remove(digest, older_than_seconds=-1)
    storer.join()
    assert store.verify(digest)
    assert [key for key in bucket.all_keys() if "removing" in key] == []


def test_marks_of_who_was_killed_while_removing_run_out(
    bucket: Bucket, store: BucketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = put(store)
    for method, path in (("DELETE", ""), ("POST", "delete")):
        bucket.proxy.spoil("error", method, ALWAYS, path)
    with pytest.raises(UnavailableError):
        store.remove(stored.digest, older_than_seconds=-1)
    bucket.proxy.faults.clear()
    monkeypatch.setattr(store_bucket, "PAUSES", (0.0,))
    with pytest.raises(UnavailableError, match="being removed"):
        put(store)
    monkeypatch.setattr(store_bucket, "MARK_SECONDS", -2.0)  # times may be of whole seconds
    put(store)
    assert store.remove(stored.digest, older_than_seconds=-1)
    assert bucket.all_keys() == []
