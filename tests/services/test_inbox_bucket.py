"""The inbox under a prefix of an object store, against a server that speaks S3."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import obstore
import pytest
from obstore.store import S3Store

from reportgen_dagster.errors import ConflictError, ServiceError
from reportgen_dagster.services import inbox
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.inbox import Swept
from reportgen_dagster.storage.inbox_bucket import open_bucket
from tests.services.conftest import World
from tests.services.killed_sweeps import Killed

URL = "s3://dropped/in/box"
ANN = "ann@example.com"
CONTENT = b"key,price\nA,1\n"
NOT_CSV = b"\x89PNG\r\n\x1a\n"


class Bucket:
    """Ann's inbox in a bucket."""

    def __init__(self, world: World, store: S3Store) -> None:
        self.world = world
        self.store = store
        settings = world.context.settings.model_copy(update={"inbox": URL})
        self.context = Context.open(settings)

    def drop(self, key: str = "orders/orders.csv", content: bytes = CONTENT, user: str = ANN) -> None:
        obstore.put(self.store, f"{user}/{key}", content)

    def sweep(self, limit: int = inbox.FILES_A_SWEEP) -> Swept:
        return inbox.sweep(self.context, limit=limit)

    def keys(self, prefix: str = "") -> list[str]:
        return sorted(meta["path"] for page in obstore.list(self.store, prefix or None) for meta in page)

    def names(self, place: str) -> list[str]:
        return sorted(key.rpartition("/")[2] for key in self.keys(place))

    def digests(self) -> list[object]:
        rows = self.world.sql("SELECT digest FROM dataset_versions ORDER BY created_at")
        return [digest for (digest,) in rows]


@pytest.fixture
def bucket(world: World, server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    httpx2.post(f"{server}/moto-api/reset").raise_for_status()
    httpx2.put(f"{server}/dropped").raise_for_status()
    opened = Bucket(world, S3Store.from_url(URL, client_options={"allow_http": True}))
    yield opened
    opened.context.close()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_an_object_becomes_a_version_and_moves_to_the_archive(bucket: Bucket) -> None:
    bucket.drop()
    (taken,) = bucket.sweep().taken
    assert (taken.owner_id, taken.dataset, taken.number, taken.is_new) == (
        *(bucket.world.ann, "orders"),
        *(1, True),
    )
    assert bucket.digests() == [digest(CONTENT)]
    assert bucket.keys() == bucket.keys("archive")
    assert bucket.names("archive") == ["orders.csv"]
    assert str(bucket.sweep()) == "The inbox is empty."


def test_a_refused_object_lies_beside_the_reason(bucket: Bucket) -> None:
    bucket.drop(content=NOT_CSV)
    assert len(bucket.sweep().refused) == 1
    assert bucket.names("refused") == ["orders.csv", "orders.csv.reason.txt"]
    (reason,) = (key for key in bucket.keys("refused") if key.endswith(".reason.txt"))
    assert b"a PNG image" in bytes(obstore.get(bucket.store, reason).bytes())
    assert bucket.keys() == bucket.keys("refused")


def test_what_lies_in_the_wrong_place_stays_and_is_told(bucket: Bucket) -> None:
    wrong = (
        "top.csv",
        f"{ANN}/orders.csv",
        f"{ANN}/orders/deep/orders.csv",
        "nobody@example.com/orders/o.csv",
    )
    for key in wrong:
        obstore.put(bucket.store, key, CONTENT)
    bucket.drop("orders/half.csv.part")
    swept = bucket.sweep()
    assert sorted(line.split(":")[0] for line in swept.left_alone) == sorted(
        (*wrong[:3], "nobody@example.com")
    )
    assert swept.taken == []
    assert len(bucket.keys()) == len(wrong) + 1


@pytest.mark.parametrize(
    "name", ["orders 1.csv", "Aufträge.csv", "100%25.csv", "a+b&c=d.csv", "x#?.csv", "🙂.csv"]
)
def test_odd_names_are_only_names(bucket: Bucket, name: str) -> None:
    bucket.drop(f"orders/{name}")
    assert len(bucket.sweep().taken) == 1
    assert len(bucket.names("archive")) == 1
    assert bucket.keys(ANN) == []


def test_the_same_object_twice_is_one_version(bucket: Bucket) -> None:
    for _ in range(2):
        bucket.drop()
        assert len(bucket.sweep().taken) == 1
    assert len(bucket.digests()) == 1


def test_what_is_written_over_while_it_is_taken_is_taken_next(bucket: Bucket) -> None:
    bucket.drop()
    with open_bucket(URL) as opened:
        claimed = opened.claim(opened.look().files[0])
        bucket.drop(content=b"key,price\nB,22\n")
        for step in (lambda: list(claimed.chunks()), claimed.archive):
            with pytest.raises(ConflictError):
                step()
    assert len(bucket.sweep().taken) == 1
    assert bucket.digests() == [digest(b"key,price\nB,22\n")]


def test_two_sweeps_at_once_make_one_version_of_each_object(bucket: Bucket) -> None:
    contents = [f"key,price\nA,{number}\n".encode() for number in range(40)]
    for number, content in enumerate(contents):
        bucket.drop(f"orders/{number}.csv", content)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: bucket.sweep(), range(3)))
    assert sorted(bucket.digests()) == sorted(digest(content) for content in contents)
    assert bucket.keys() == bucket.keys("archive")
    assert len(bucket.keys()) == len(contents)


def test_many_objects_arrive_in_several_sweeps(bucket: Bucket) -> None:
    for number in range(25):
        bucket.drop(f"orders/{number}.csv", f"key,price\nA,{number}\n".encode())
    assert [len(bucket.sweep(limit=10).taken) for _ in range(4)] == [10, 10, 5, 0]


def test_a_sweep_killed_anywhere_loses_nothing_and_repeats_nothing(bucket: Bucket) -> None:
    killed = Killed(bucket.context.settings)
    step, finished, contents = 0, False, []
    while not finished:
        step += 1
        contents.append(f"key,price\nA,{step}\n".encode())
        bucket.drop(content=contents[-1])
        finished = killed.sweep(step, "")
        bucket.sweep()
        assert bucket.keys(ANN) == []
    killed.close()
    assert bucket.digests() == [digest(content) for content in contents]


def test_a_bucket_that_does_not_answer_is_told(bucket: Bucket) -> None:
    away = Context.open(bucket.context.settings.model_copy(update={"inbox": "s3://no-such-bucket/x"}))
    with pytest.raises(ServiceError, match="The inbox's bucket does not work"):
        inbox.sweep(away)
    away.close()
