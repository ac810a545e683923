"""What every storage does alike, in a folder and in buckets of real servers; and what only a folder does."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from reportgen_dagster.errors import DamagedFileError, LostFileError, ServiceError, StorageFullError
from reportgen_dagster.storage.store import ObjectStore, Stored
from reportgen_dagster.storage.store_bucket import PART_BYTES
from reportgen_dagster.storage.store_folder import FolderStore
from reportgen_dagster.syncing import SYNC_BYTES
from tests.storage.buckets import Bucket

CONTENT = b"key,price\nA,1\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()

HALF_WRITTEN = """
import sys
from pathlib import Path
from reportgen_dagster.storage.store_folder import FolderStore
store = FolderStore(Path(sys.argv[1]))
blob = store.new_blob()
blob.write(b"half")
with store.work_folder("run") as folder:
    (folder / "scratch").write_bytes(b"half")
    print("ready", flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Kept:
    """A store, and a way to lay other bytes where a file of it is."""

    store: ObjectStore
    damage: Callable[[str, bytes], object]


@pytest.fixture(params=["folder", "s3", "gcs"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "folder":
        store = FolderStore(tmp_path / "storage")
        return Kept(store, lambda digest, content: _overwrite(store.path(digest), content))
    bucket = request.getfixturevalue(f"{request.param}_bucket")
    return Kept(bucket.store(tmp_path / "storage"), bucket.put)


@pytest.fixture
def store(kept: Kept) -> ObjectStore:
    return kept.store


@pytest.fixture
def folder_store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "storage")


def _overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


def put(store: ObjectStore, content: bytes = CONTENT) -> Stored:
    with store.new_blob() as blob:
        blob.write(content)
        return blob.finish()


def read(store: ObjectStore, digest: str = DIGEST, *part: int | None) -> bytes:
    return b"".join(store.chunks(digest, *part))


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "storage").rglob("*") if path.is_file()]


def scratch(tmp_path: Path) -> list[Path]:
    """What lies about on this machine that is no stored file."""
    return [path for path in files(tmp_path) if "blobs" not in path.parts]


def test_a_finished_file_is_found_under_its_digest(store: ObjectStore, tmp_path: Path) -> None:
    with store.new_blob() as blob:
        for byte in CONTENT:
            blob.write(bytes([byte]))
        stored = blob.finish()
        assert (blob.digest, blob.size) == (DIGEST, len(CONTENT))
    assert stored == Stored(DIGEST, len(CONTENT))
    assert read(store) == CONTENT
    assert store.fetch(DIGEST, tmp_path).read_bytes() == CONTENT
    assert store.exists(DIGEST)
    assert store.verify(DIGEST)
    assert scratch(tmp_path) == []


def test_a_file_of_several_parts_is_whole(store: ObjectStore, tmp_path: Path) -> None:
    content = os.urandom(PART_BYTES + 1_000_000)
    stored = put(store, content)
    assert read(store, stored.digest) == content
    assert read(store, stored.digest, PART_BYTES - 5, PART_BYTES + 5) == content[PART_BYTES - 5 :][:10]
    assert put(store, content) == stored
    assert list(store.digests()) == [stored.digest]
    assert scratch(tmp_path) == []


def test_a_part_of_a_file_is_read_alone(store: ObjectStore) -> None:
    put(store)
    for part in ((0, 5), (4, 9), (4, None), (10, 1000), (0, 1000), (14, None), (0, 0)):
        assert read(store, DIGEST, *part) == CONTENT[slice(*part)]


def test_a_cut_off_upload_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    def break_off() -> None:
        with store.new_blob() as blob:
            blob.write(CONTENT)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        break_off()
    assert list(store.digests()) == []
    assert files(tmp_path) == []


def test_nothing_is_visible_before_the_end(store: ObjectStore) -> None:
    with store.new_blob() as blob:
        blob.write(CONTENT)
        assert list(store.digests()) == []
        blob.finish()
    assert list(store.digests()) == [DIGEST]


def test_the_same_bytes_twice_are_one_file(store: ObjectStore) -> None:
    threads = [threading.Thread(target=put, args=(store,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(store.digests()) == [DIGEST]
    assert store.verify(DIGEST)


def test_a_download_under_way_survives_a_second_upload_of_the_same(store: ObjectStore) -> None:
    content = os.urandom(3_000_000)
    digest = put(store, content).digest
    download = store.chunks(digest)
    first = next(download)
    put(store, content)
    assert b"".join((first, *download)) == content


def test_an_empty_file_can_be_stored(store: ObjectStore, tmp_path: Path) -> None:
    stored = put(store, b"")
    assert stored.size_bytes == 0
    assert store.verify(stored.digest)
    assert store.fetch(stored.digest, tmp_path).read_bytes() == b""


def test_damage_is_found_and_healed_by_the_next_upload(kept: Kept) -> None:
    put(kept.store)
    for damaged in (b"Key,price\nA,1\n", CONTENT[:-1], b"", CONTENT * 2):
        kept.damage(DIGEST, damaged)
        assert kept.store.exists(DIGEST)
        assert not kept.store.verify(DIGEST)
        put(kept.store)
        assert kept.store.verify(DIGEST)


def test_a_missing_file_is_told(store: ObjectStore, tmp_path: Path) -> None:
    assert not store.exists(DIGEST)
    assert not store.verify(DIGEST)
    for reads in (lambda: read(store), lambda: store.fetch(DIGEST, tmp_path)):
        with pytest.raises(LostFileError):
            reads()


def test_only_digests_become_places(store: ObjectStore, tmp_path: Path) -> None:
    def fetch(digest: str) -> Path:
        return store.fetch(digest, tmp_path)

    def remove(digest: str) -> bool:
        return store.remove(digest, older_than_seconds=0)

    for digest in ("", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"):
        for call in (store.exists, store.verify, fetch, remove):
            with pytest.raises(ValueError, match="digest"):
                call(digest)


def test_a_file_is_removed_once_it_is_old_enough(store: ObjectStore) -> None:
    put(store)
    assert list(store.digests(older_than_seconds=60)) == []
    assert not store.remove(DIGEST, older_than_seconds=60)
    assert store.exists(DIGEST)
    assert store.remove(DIGEST, older_than_seconds=-1)
    assert not store.remove(DIGEST, older_than_seconds=-1)
    assert list(store.digests()) == []
    put(store)
    assert store.verify(DIGEST)


def test_a_storage_that_works_answers(store: ObjectStore) -> None:
    store.ping()


def test_a_file_from_elsewhere_is_copied(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(CONTENT)
    assert store.put_file(source) == Stored(DIGEST, len(CONTENT))
    assert source.read_bytes() == CONTENT
    assert read(store) == CONTENT


def test_a_file_in_a_work_folder_is_moved_and_the_folder_goes(store: ObjectStore, tmp_path: Path) -> None:
    with store.work_folder("run/../x") as folder:
        (folder / "report.csv").write_bytes(CONTENT)
        assert store.put_file(folder / "report.csv") == Stored(DIGEST, len(CONTENT))
        assert not (folder / "report.csv").exists()
    assert list(store.digests()) == [DIGEST]
    assert scratch(tmp_path) == []
    assert not folder.exists()


def test_links_and_devices_are_not_stored(store: ObjectStore, tmp_path: Path) -> None:
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to("/etc/hostname")
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path):
        with pytest.raises(ServiceError) as caught:
            store.put_file(path)
        assert str(tmp_path) not in caught.value.detail


def test_an_attempts_process_may_use_a_store_that_was_opened_before_the_fork(
    s3_bucket: Bucket, tmp_path: Path
) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from reportgen_dagster.storage.opening import open_store\n"
        "store = open_store(sys.argv[1], Path(sys.argv[2]))\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    with store.new_blob() as blob:\n"
        "        blob.write(b'from a fork')\n"
        "        blob.finish()\n"
        "    os._exit(0)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-c", script, s3_bucket.url, str(tmp_path / "s")], check=True, timeout=60)
    assert s3_bucket.store(tmp_path).verify(hashlib.sha256(b"from a fork").hexdigest())


def test_where_a_folder_has_a_file_it_is_read_there(folder_store: FolderStore, tmp_path: Path) -> None:
    put(folder_store)
    path = folder_store.path(DIGEST)
    assert folder_store.local_path(DIGEST) == folder_store.fetch(DIGEST, tmp_path) == path
    assert path.stat().st_mode & 0o777 == 0o400
    assert files(tmp_path) == [path]


def test_a_disk_that_takes_no_more_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from reportgen_dagster.errors import ServiceError\n"
        "from reportgen_dagster.storage.store_folder import FolderStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    with FolderStore(Path(sys.argv[1])).new_blob() as blob:\n"
        "        blob.write(bytes(2000))\n"
        "except ServiceError as error:\n"
        "    print(error.detail)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "storage")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "storage does not work" in told
    assert files(tmp_path) == []


def _put_moved(store: ObjectStore) -> Stored:
    with store.work_folder("run") as folder:
        (folder / "report.csv").write_bytes(CONTENT)
        return store.put_file(folder / "report.csv")


def _put_part(store: ObjectStore) -> Stored:
    with store.parts.writing("0" * 32) as part:
        part.cut(0)
        part.write(CONTENT)
        part.sync()
        return store.put_part(part, DIGEST)


@pytest.mark.parametrize(
    ("write", "call"),
    [(put, "fsync"), (_put_moved, "fsync"), (_put_part, "fsync"), (_put_part, "fdatasync")],
)
def test_a_disk_that_failed_to_keep_a_file_is_suspect_to_every_process(
    folder_store: FolderStore,
    tmp_path: Path,
    break_disk: Callable[..., None],
    write: Callable[[ObjectStore], Stored],
    call: str,
) -> None:
    other = FolderStore(tmp_path / "storage")
    assert other.disk.suspicion() == ""
    break_disk(call)
    with pytest.raises(ServiceError, match="does not work"):
        write(folder_store)
    assert not folder_store.exists(DIGEST)
    assert "failed to keep" in other.disk.suspicion()
    break_disk("fsync")
    with pytest.raises(ServiceError, match="does not work"):
        other.ping()
    other.ping()
    assert folder_store.verify(write(folder_store).digest)
    assert "failed to keep" in other.disk.suspicion(), "until somebody has looked"


def test_a_large_file_is_given_up_when_the_disk_fails_on_the_way(
    folder_store: FolderStore, break_disk: Callable[..., None]
) -> None:
    break_disk("fdatasync")
    with pytest.raises(ServiceError, match="does not work"):
        put(folder_store, bytes(SYNC_BYTES))
    assert "failed to keep" in folder_store.disk.suspicion()
    assert list(folder_store.digests()) == []


def test_a_full_disk_is_not_suspect(folder_store: FolderStore, break_disk: Callable[..., None]) -> None:
    break_disk("fsync", code=errno.ENOSPC)
    with pytest.raises(StorageFullError):
        put(folder_store)
    assert folder_store.disk.suspicion() == ""
    folder_store.ping()


def test_what_a_killed_process_left_is_removed_but_not_what_a_living_one_writes(
    folder_store: FolderStore, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HALF_WRITTEN, str(tmp_path / "storage")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert folder_store.remove_stale(older_than_seconds=-1) == 0
        assert len(files(tmp_path)) == 2
        process.send_signal(signal.SIGKILL)
    assert folder_store.remove_stale(older_than_seconds=60) == 0, "too young to be judged"
    assert folder_store.remove_stale(older_than_seconds=-1) == 2
    assert files(tmp_path) == []


def test_a_damaged_file_is_never_fetched_from_a_bucket(s3_bucket: Bucket, tmp_path: Path) -> None:
    store = s3_bucket.store(tmp_path / "storage")
    put(store)
    s3_bucket.put(DIGEST, b"Key,price\nA,1\n")
    with pytest.raises(DamagedFileError):
        store.fetch(DIGEST, tmp_path)
