from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from reportgen_dagster.errors import ServiceError
from reportgen_dagster.storage.store import ObjectStore, Stored

CONTENT = b"key,price\nA,1\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()

HALF_WRITTEN = """
import sys
from pathlib import Path
from reportgen_dagster.storage.store import ObjectStore
store = ObjectStore(Path(sys.argv[1]))
blob = store.new_blob()
blob.write(b"half")
with store.work_folder("run") as folder:
    (folder / "scratch").write_bytes(b"half")
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "storage")


def put(store: ObjectStore, content: bytes = CONTENT) -> Stored:
    with store.new_blob() as blob:
        blob.write(content)
        return blob.finish()


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "storage").rglob("*") if path.is_file()]


def test_a_finished_file_lies_under_its_digest(store: ObjectStore) -> None:
    with store.new_blob() as blob:
        for byte in CONTENT:
            blob.write(bytes([byte]))
        stored = blob.finish()
        assert (blob.digest, blob.size) == (DIGEST, len(CONTENT))
    assert stored == Stored(DIGEST, len(CONTENT))
    assert store.path(DIGEST).read_bytes() == CONTENT
    assert store.exists(DIGEST)
    assert store.verify(DIGEST)


def test_a_cut_off_upload_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    def cut_off() -> None:
        with store.new_blob() as blob:
            blob.write(CONTENT)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        cut_off()
    assert files(tmp_path) == []


def test_nothing_is_visible_before_the_end(store: ObjectStore) -> None:
    with store.new_blob() as blob:
        blob.write(CONTENT)
        assert list(store.digests()) == []
        blob.finish()
    assert list(store.digests()) == [DIGEST]


def test_the_same_bytes_twice_are_one_file(store: ObjectStore, tmp_path: Path) -> None:
    threads = [threading.Thread(target=put, args=(store,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(tmp_path) == [store.path(DIGEST)]
    assert store.verify(DIGEST)


def test_a_download_under_way_survives_a_second_upload_of_the_same(store: ObjectStore) -> None:
    put(store)
    with store.path(DIGEST).open("rb") as download:
        put(store)
        assert download.read() == CONTENT


def test_an_empty_file_can_be_stored(store: ObjectStore) -> None:
    stored = put(store, b"")
    assert stored.size_bytes == 0
    assert store.verify(stored.digest)


def test_a_flipped_byte_is_found_and_healed_by_the_next_upload(store: ObjectStore) -> None:
    put(store)
    store.path(DIGEST).chmod(0o600)
    store.path(DIGEST).write_bytes(b"Key,price\nA,1\n")
    assert store.exists(DIGEST)
    assert not store.verify(DIGEST)
    put(store)
    assert store.verify(DIGEST)


def test_a_missing_file_does_not_verify(store: ObjectStore) -> None:
    assert not store.exists(DIGEST)
    assert not store.verify(DIGEST)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_only_digests_become_paths(store: ObjectStore, digest: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        store.path(digest)


def test_stored_files_are_read_only_and_private(store: ObjectStore) -> None:
    put(store)
    assert store.path(DIGEST).stat().st_mode & 0o777 == 0o400


def test_a_file_from_elsewhere_is_copied(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(CONTENT)
    assert store.put_file(source) == Stored(DIGEST, len(CONTENT))
    assert source.read_bytes() == CONTENT


def test_a_file_in_a_work_folder_is_moved_and_the_folder_goes(store: ObjectStore, tmp_path: Path) -> None:
    with store.work_folder("run/../x") as folder:
        (folder / "report.csv").write_bytes(CONTENT)
        assert store.put_file(folder / "report.csv") == Stored(DIGEST, len(CONTENT))
        assert not (folder / "report.csv").exists()
    assert files(tmp_path) == [store.path(DIGEST)]
    assert not folder.exists()


def test_links_and_devices_are_not_stored(store: ObjectStore, tmp_path: Path) -> None:
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to("/etc/hostname")
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path):
        with pytest.raises(ServiceError) as caught:
            store.put_file(path)
        assert str(tmp_path) not in caught.value.detail


def test_a_disk_that_takes_no_more_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from reportgen_dagster.errors import ServiceError\n"
        "from reportgen_dagster.storage.store import ObjectStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    with ObjectStore(Path(sys.argv[1])).new_blob() as blob:\n"
        "        blob.write(bytes(2000))\n"
        "except ServiceError as error:\n"
        "    print(error.detail)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "storage")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "storage does not work" in told
    assert files(tmp_path) == []


def test_what_a_killed_process_left_is_removed_but_not_what_a_living_one_writes(
    store: ObjectStore, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HALF_WRITTEN, str(tmp_path / "storage")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert store.remove_stale(older_than_seconds=-1) == 0
        assert len(files(tmp_path)) == 2
        process.send_signal(signal.SIGKILL)
    assert store.remove_stale(older_than_seconds=60) == 0, "too young to be judged"
    assert store.remove_stale(older_than_seconds=-1) == 2
    assert files(tmp_path) == []
