"""The watched inbox: what is taken, what is refused, what waits, and that nothing is lost or taken twice."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from reportgen_dagster.catalog import datasets
from reportgen_dagster.errors import ConflictError, ServiceError, UnavailableError
from reportgen_dagster.services import inbox, uploads
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.inbox import Swept
from reportgen_dagster.storage.inbox_folder import open_folder
from tests.services.conftest import World
from tests.services.killed_sweeps import Killed

ANN, BOB = "ann@example.com", "bob@example.com"
CONTENT = b"key,price\nA,1\n"
NOT_CSV = b"\x89PNG\r\n\x1a\n"
FAR_FUTURE = 4_000_000_000
SOMEBODY = 12345  # a uid that is neither root nor anybody's here


class Inbox:
    """Ann's and Bob's inbox, and the sensor's part: one sweep after the other, each given the cursor of the one before."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.context = world.context
        self.root = world.context.settings.inbox_path
        self.cursor = ""

    def folder(self, user: str = ANN, dataset: str = "orders") -> Path:
        folder = self.root / user / dataset
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def drop(
        self, name: str = "orders.csv", content: bytes = CONTENT, *, at: int = 0, user: str = ANN
    ) -> Path:
        path = self.folder(user) / name
        path.write_bytes(content)
        if at:
            os.utime(path, (at, at))
        return path

    def sweep(self, limit: int = inbox.FILES_A_SWEEP) -> Swept:
        swept = inbox.sweep(self.context, self.cursor, limit=limit)
        self.cursor = swept.cursor
        return swept

    def settle(self) -> Swept:
        """Sweep twice: what is whole by then is taken; return what the second sweep did."""
        self.sweep()
        return self.sweep()

    def versions(self, dataset: str = "orders") -> list[tuple[object, ...]]:
        return self.world.sql(
            "SELECT v.number, v.digest FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id"
            " WHERE d.name = :name ORDER BY v.number",
            name=dataset,
        )

    def digests(self) -> list[object]:
        return [digest for _, digest in self.versions()]

    def upload(self, content: bytes) -> str:
        """Add a version to the dataset another way, and return its digest."""
        upload = uploads.receive(self.context, "uploaded.csv", [content], role="input")
        with self.context.catalog.transaction() as session:
            datasets.add_version(session, self.world.ann, "orders", uploads.new_version(upload))
        return upload.stored.digest

    def kept(self, place: str) -> list[str]:
        """The files in `archive` or `refused`, without their folders."""
        return sorted(path.name for path in (self.root / place).rglob("*") if not path.is_dir())

    def reason(self) -> str:
        (path,) = (self.root / "refused").rglob("*reason.txt")
        return path.read_text()

    def claimed(self) -> list[str]:
        return [path.name for path in (self.root / ".claimed").rglob("*") if not path.is_dir()]


@pytest.fixture
def dropped(world: World) -> Inbox:
    return Inbox(world)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def numbered(number: int) -> bytes:
    return f"key,price\nA,{number}\n".encode()


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """Put a small disk of its own over a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_file_becomes_a_version_once_it_looked_the_same_twice(dropped: Inbox) -> None:
    path = dropped.drop()
    first = dropped.sweep()
    assert (first.taken, first.waiting) == ([], ["ann@example.com/orders/orders.csv"])
    (taken,) = dropped.sweep().taken
    assert (taken.owner_id, taken.dataset, taken.number, taken.is_new) == (
        *(dropped.world.ann, "orders"),
        *(1, True),
    )
    assert dropped.versions() == [(1, digest(CONTENT))]
    assert not path.exists()
    assert dropped.kept("archive") == ["orders.csv"]
    assert dropped.claimed() == []
    assert str(dropped.sweep()) == "The inbox is empty."


def test_the_version_is_what_an_upload_would_be(dropped: Inbox) -> None:
    dropped.drop("March orders.csv", "käse;größe\na;1\n".encode("latin-1"))
    (taken,) = dropped.settle().taken
    ((filename, header),) = dropped.world.sql(
        "SELECT filename, header FROM dataset_versions WHERE id = :id", id=taken.version_id
    )
    assert (filename, header) == ("March orders.csv", ["käse", "größe"])
    assert dropped.context.store.verify(digest("käse;größe\na;1\n".encode("latin-1")))


def test_a_compressed_file_is_taken_as_it_is(dropped: Inbox) -> None:
    packed = gzip.compress(CONTENT)
    dropped.drop("orders.csv.gz", packed)
    assert dropped.settle().taken[0].is_new
    assert dropped.digests() == [digest(packed)]


def test_a_growing_file_waits_until_it_is_whole(dropped: Inbox) -> None:
    path = dropped.drop(content=b"key,pri")
    for more in (b"ce\n", b"A,", b"1\n"):
        assert dropped.sweep().taken == []
        with path.open("ab") as file:
            file.write(more)
    assert dropped.sweep().taken == []
    assert dropped.sweep().taken[0].number == 1
    assert dropped.digests() == [digest(CONTENT)]


def test_a_stalled_writer_that_has_the_file_open_is_waited_for(dropped: Inbox) -> None:
    with dropped.drop(content=b"").open("wb", buffering=0) as file:
        file.write(b"key,pri")
        for _ in range(3):
            assert dropped.sweep().waiting == ["ann@example.com/orders/orders.csv"]
        file.write(b"ce\nA,1\n")
    dropped.settle()
    assert dropped.digests() == [digest(CONTENT)]


@pytest.mark.parametrize("name", [".orders.csv", "orders.csv.part", "orders.CRDOWNLOAD", "o.tmp", "o.csv~"])
def test_half_of_a_download_is_never_taken_but_what_it_is_renamed_to(dropped: Inbox, name: str) -> None:
    path = dropped.drop(name)
    for _ in range(3):
        assert str(dropped.sweep()) == "The inbox is empty."
    path.rename(path.with_name("orders.csv"))
    assert dropped.settle().taken[0].path == "ann@example.com/orders/orders.csv"


def test_a_marker_says_that_a_file_is_complete(dropped: Inbox) -> None:
    dropped.drop()
    marker = dropped.drop("orders.csv.done", b"")
    assert dropped.sweep().taken[0].number == 1
    assert not marker.exists(), "it does not speak for the next file of that name"
    dropped.drop(content=b"key,pri")
    assert dropped.sweep().taken == []


def test_the_same_file_twice_is_one_version(dropped: Inbox) -> None:
    for is_new in (True, False):
        dropped.drop()
        assert [(taken.number, taken.is_new) for taken in dropped.settle().taken] == [(1, is_new)]
    assert len(dropped.versions()) == 1
    assert dropped.kept("archive") == ["orders.csv", "orders.csv"], "nothing is overwritten there"


def test_what_comes_back_is_a_version_again(dropped: Inbox) -> None:
    for number in (1, 2, 1):
        dropped.drop(content=numbered(number))
        dropped.settle()
    assert dropped.digests() == [digest(numbered(number)) for number in (1, 2, 1)]


def test_times_of_files_are_no_clock(dropped: Inbox) -> None:
    """Copies keep old times, and clocks go back: neither hides a file."""
    for at in (FAR_FUTURE, 1_000_000_000, 1, 1_500_000_000):
        dropped.drop(content=numbered(at), at=at)
        assert len(dropped.settle().taken) == 1
    assert dropped.digests() == [digest(numbered(at)) for at in (FAR_FUTURE, 1_000_000_000, 1, 1_500_000_000)]


def test_a_change_that_hides_size_and_time_is_noticed(dropped: Inbox) -> None:
    path = dropped.drop(content=numbered(1), at=1_000_000_000)
    dropped.sweep()
    path.write_bytes(numbered(2))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert dropped.sweep().taken == []
    dropped.sweep()
    assert dropped.digests() == [digest(numbered(2))]


@pytest.mark.parametrize("cursor", ["", "nonsense", '{"a": 1}', "null", "[[1], 2]"])
def test_a_lost_cursor_costs_one_sweep(dropped: Inbox, cursor: str) -> None:
    dropped.drop()
    dropped.sweep()
    dropped.cursor = cursor
    assert dropped.sweep().taken == []
    assert len(dropped.sweep().taken) == 1


def test_a_refused_file_lies_beside_the_reason(dropped: Inbox) -> None:
    dropped.drop("picture.csv", NOT_CSV)
    dropped.drop("orders.csv")
    swept = dropped.settle()
    assert [refused.path for refused in swept.refused] == ["ann@example.com/orders/picture.csv"]
    assert len(swept.taken) == 1
    assert dropped.kept("refused") == ["picture.csv", "picture.csv.reason.txt"]
    told = dropped.reason()
    assert "picture.csv was refused" in told
    assert "The file cannot be used" in told
    assert "a PNG image" in told
    assert "a PNG image" in str(swept)


def test_a_file_over_the_limit_is_refused(world: World) -> None:
    small = Context.open(world.context.settings.model_copy(update={"max_upload_bytes": 10}))
    dropped = Inbox(World(small, world.ann, world.bob))
    dropped.drop()
    assert dropped.settle().refused[0].error.code == "too-large"
    small.close()


def _link(path: Path) -> None:
    path.with_suffix(".real").write_bytes(CONTENT)
    path.with_suffix(".real").rename(path.parents[3] / "real")
    path.symlink_to(path.parents[3] / "real")


def _hard_link(path: Path) -> None:
    _link(path)
    real = path.readlink()
    path.unlink()
    path.hardlink_to(real)


def _others(path: Path) -> None:
    path.write_bytes(CONTENT)
    os.chown(path, SOMEBODY, SOMEBODY)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_link, "symbolic link"),
        (_hard_link, "hard link"),
        (os.mkfifo, "regular file"),
        (_others, "belongs neither"),
    ],
)
def test_what_is_no_plain_file_of_its_owner_is_refused_unread(
    dropped: Inbox, make: Callable[[Path], None], why: str
) -> None:
    make(dropped.folder() / "orders.csv")
    assert why in dropped.settle().refused[0].error.detail
    assert why in dropped.reason()
    assert dropped.versions() == []
    assert list(dropped.context.store.digests()) == []


def test_files_of_whoever_owns_the_users_folder_are_taken(dropped: Inbox) -> None:
    path = dropped.drop()
    for each in (path, path.parent, path.parent.parent):
        os.chown(each, SOMEBODY, SOMEBODY)
    assert len(dropped.settle().taken) == 1


def test_folders_that_are_links_or_somebody_elses_are_left_alone_and_told(
    dropped: Inbox, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "orders").mkdir(parents=True)
    (elsewhere / "orders" / "orders.csv").write_bytes(CONTENT)
    dropped.root.mkdir(exist_ok=True)
    (dropped.root / BOB).symlink_to(elsewhere)
    (dropped.folder() / "../linked").symlink_to(elsewhere / "orders")
    (foreign := dropped.folder(dataset="foreign")).joinpath("orders.csv").write_bytes(CONTENT)
    os.chown(foreign, SOMEBODY, SOMEBODY)
    told = dropped.settle().left_alone
    assert [line.split(":")[0] for line in told] == [f"{ANN}/foreign", f"{ANN}/linked", BOB]
    assert dropped.world.sql("SELECT id FROM datasets") == []


def test_what_lies_in_the_wrong_place_is_left_alone_and_told(dropped: Inbox) -> None:
    (nested := dropped.folder() / "nested").mkdir()
    nested.joinpath("orders.csv").write_bytes(CONTENT)
    (dropped.root / "orders.csv").write_bytes(CONTENT)
    (dropped.root / ANN / "orders.csv").write_bytes(CONTENT)
    dropped.drop(user="nobody@example.com")
    dropped.drop(user="..hidden")
    for dataset in ("x" * 101, "default-input"):
        (dropped.folder(dataset=dataset) / "orders.csv").write_bytes(CONTENT)
    swept = dropped.settle()
    assert sorted(line.split(":")[0] for line in swept.left_alone) == sorted(
        [
            *(f"{ANN}/orders.csv", f"{ANN}/orders/nested", f"{ANN}/{'x' * 101}"),
            *(f"{ANN}/default-input", "nobody@example.com", "orders.csv"),
        ]
    )
    assert (swept.taken, swept.refused, dropped.claimed()) == ([], [], [])


def test_a_user_is_named_by_email_or_id_and_sees_only_his_own(dropped: Inbox) -> None:
    dropped.drop(content=numbered(1), user="Ann@Example.COM")
    dropped.drop(content=numbered(2), user=dropped.world.bob)
    owners = {taken.owner_id: taken.number for taken in dropped.settle().taken}
    assert owners == {dropped.world.ann: 1, dropped.world.bob: 1}


def test_a_disabled_account_takes_nothing(dropped: Inbox) -> None:
    dropped.drop()
    dropped.world.sql("UPDATE users SET disabled_at = now()")
    assert dropped.settle().left_alone == [f"{ANN}: nobody with this e-mail or id has an account."]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "orders 1.csv",
            "Aufträge.csv",
            "a\nb.csv",
            "-rf",
            "'; DROP TABLE users; --",
            "\\..\\x",
            "%s{}$(id)",
        ),
        *(os.fsdecode(b"\xff\xfe.csv"), "o" * 255, "\u202efdp.csv", "x.reason.txt", "🙂.csv"),
    ],
)
def test_odd_names_are_only_names(dropped: Inbox, name: str) -> None:
    dropped.drop(name)
    assert len(dropped.settle().taken) == 1
    assert dropped.kept("archive") == [name]
    dropped.drop(name, NOT_CSV)
    swept = dropped.settle()
    assert len(swept.refused) == 1
    assert len(dropped.kept("refused")) == 2
    assert str(swept).isprintable()


def test_folder_names_in_other_systems_spelling_are_the_same_dataset(dropped: Inbox) -> None:
    for number, spelling in enumerate(("Auftra\u0308ge", "Aufträge")):
        (dropped.folder(dataset=spelling) / "x.csv").write_bytes(numbered(number))
        assert dropped.settle().taken[0].number == number + 1


def test_files_that_are_read_only_or_old_come_oldest_first(dropped: Inbox) -> None:
    for name, at in (("b", 300), ("c", 100), ("a", 100), ("d", 200)):
        dropped.drop(name, name.encode() + CONTENT, at=at).chmod(0o400)
    assert [taken.path[-1] for taken in dropped.settle().taken] == ["a", "c", "d", "b"]


def test_nobodys_many_files_hold_up_anothers_one(dropped: Inbox) -> None:
    for number in range(30):
        dropped.drop(f"{number}.csv", numbered(number), at=1000 + number)
    dropped.drop(user=BOB)
    dropped.sweep()
    assert dropped.world.bob in {taken.owner_id for taken in dropped.sweep(limit=2).taken}


def test_a_thousand_files_at_once_all_arrive_in_their_order(dropped: Inbox) -> None:
    contents = [numbered(number) for number in range(1000)]
    for number, content in enumerate(contents):
        dropped.drop(f"{number:04}.csv", content, at=1_000_000 + number)
    dropped.sweep()
    sizes = [len(dropped.sweep().taken) for _ in range(11)]
    assert max(sizes) <= inbox.FILES_A_SWEEP
    while dropped.sweep().taken:
        pass
    assert dropped.versions() == [(number + 1, digest(content)) for number, content in enumerate(contents)]
    assert len(dropped.kept("archive")) == 1000
    assert list(dropped.folder().iterdir()) == []


def test_two_sweeps_never_work_at_once(dropped: Inbox) -> None:
    dropped.drop()
    dropped.sweep()
    with open_folder(dropped.root), pytest.raises(ConflictError):
        dropped.sweep()
    assert len(dropped.sweep().taken) == 1


def test_a_full_storage_loses_nothing_and_holds_up_nobody(dropped: Inbox) -> None:
    large = b"key,text\n" + b"A," + b"x" * 200_000 + b"\n"
    dropped.drop("large.csv", large, at=100)
    dropped.drop("small.csv", at=200)
    dropped.sweep()
    storage = dropped.context.settings.storage_path
    with ExitStack() as stack:
        for folder in storage.iterdir():
            folder.rmdir()
        stack.enter_context(mounted(storage, "128k"))
        full = Inbox(World(Context.open(dropped.context.settings), dropped.world.ann, dropped.world.bob))
        stack.callback(full.context.close)
        full.cursor = dropped.cursor
        swept = full.sweep()
        (failed,) = swept.failed
        assert str(failed).startswith("ann@example.com/orders/large.csv stays: The storage has ")
        assert [taken.path for taken in swept.taken] == ["ann@example.com/orders/small.csv"]
        assert len(full.sweep().failed) == 1
    Context.open(dropped.context.settings).close()
    assert [taken.number for taken in dropped.sweep().taken] == [2]
    assert dropped.digests() == [digest(CONTENT), digest(large)]


def test_a_file_that_cannot_be_moved_stays_and_is_told(dropped: Inbox) -> None:
    """It lies on another disk, from which no rename leads."""
    dropped.drop("b.csv", user=BOB)
    with mounted(dropped.folder(), "64k"):
        path = dropped.drop()
        swept = dropped.settle()
        assert [(failed.path, failed.why) for failed in swept.failed] == [
            ("ann@example.com/orders/orders.csv", "Invalid cross-device link.")
        ]
        assert path.read_bytes() == CONTENT
        assert len(swept.taken) == 1
        assert dropped.claimed() == []


def test_without_the_database_nothing_is_touched(dropped: Inbox) -> None:
    path = dropped.drop()
    dropped.sweep()
    away = dropped.context.settings.model_copy(
        update={"database_url": type(dropped.context.settings.database_url)("postgresql://127.0.0.1:1/none")}
    )
    context = Context.open(away)
    with pytest.raises(UnavailableError):
        inbox.sweep(context, dropped.cursor)
    context.close()
    assert path.exists()
    assert len(dropped.sweep().taken) == 1


def test_an_inbox_that_is_no_folder_is_told(dropped: Inbox) -> None:
    dropped.root.write_bytes(b"")
    with pytest.raises(ServiceError, match="The inbox does not work"):
        dropped.sweep()


def test_the_inbox_is_private(dropped: Inbox) -> None:
    dropped.sweep()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (dropped.root, *dropped.root.iterdir())}
    assert modes == dict.fromkeys(("inbox", ".claimed", "archive", "refused"), 0o700)


@pytest.mark.parametrize("kind", ["taken", "refused", "marked"])
def test_a_sweep_killed_anywhere_loses_nothing_and_repeats_nothing(dropped: Inbox, kind: str) -> None:
    killed = Killed(dropped.context.settings)
    step, finished, expected = 0, False, list[str]()
    while not finished:
        step += 1
        content = NOT_CSV + str(step).encode() if kind == "refused" else numbered(step)
        dropped.drop(content=content)
        if kind == "marked":
            dropped.drop("orders.csv.done", b"")
        else:
            assert dropped.sweep().taken == []
        finished = killed.sweep(step, dropped.cursor)
        # The API's upload in between: the same bytes a second time would be a version of their own.
        uploaded = dropped.upload(f"key,price\nB,{step}\n".encode())
        dropped.sweep()
        expected += [uploaded] if kind == "refused" else [uploaded, digest(content)]
        assert dropped.claimed() == []
        assert list(dropped.folder().iterdir()) == []
    killed.close()
    assert step > 20, "the calls are counted"
    if kind == "refused":
        assert dropped.kept("refused") == ["orders.csv"] * step + ["orders.csv.reason.txt"] * step
    else:
        assert dropped.kept("archive") == ["orders.csv"] * step
    assert sorted(dropped.digests()) == sorted(expected)


FILES = st.tuples(
    st.sampled_from(["a.csv", "b.csv", "c.csv.part"]),
    st.sampled_from([numbered(number) for number in range(3)] + [NOT_CSV, b""]),
    st.integers(1, 5),
)
STEPS = st.lists(st.one_of(FILES, st.just("sweep"), st.just("forget")), max_size=25)


@hypothesis.settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(steps=STEPS)
def test_versions_are_the_distinct_stable_good_files(dropped: Inbox, steps: list[object]) -> None:
    dropped.world.sql("DELETE FROM datasets")
    for path in dropped.folder().iterdir():
        path.unlink()
    good: set[str] = set()
    for step in steps:
        if step == "sweep":
            dropped.sweep()
        elif step == "forget":
            dropped.cursor = ""
        else:
            name, content, at = step  # type: ignore[misc]
            dropped.drop(name, content, at=at)
    settled = {path.name: path.read_bytes() for path in dropped.folder().iterdir()}
    before = set(dropped.digests())
    dropped.settle()
    good = {
        digest(body) for name, body in settled.items() if name != "c.csv.part" and body.startswith(b"key")
    }
    assert set(dropped.digests()) == before | good
    assert before <= {digest(numbered(number)) for number in range(3)}
    assert dropped.claimed() == []
