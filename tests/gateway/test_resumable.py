"""Uploads over several requests, by the tus protocol: a real client of it, and what no client would send."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator

import httpx2
import pytest
from sqlalchemy import text
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from api_gateway.main import create_app
from reportgen_dagster.services import resumable, retention
from reportgen_dagster.services.context import Context
from reportgen_dagster.storage.disk import SUSPECT
from tests.gateway.conftest import MAX_UPLOAD_BYTES, RULES, Server, User, assert_problem, serve

UPLOADS = "/api/v1/uploads"
OCTETS = "application/offset+octet-stream"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 500


def _table(rows: int, seed: int = 0) -> bytes:
    numbers = ((seed + row) * 2_654_435_761 % 10**9 for row in range(rows))
    return b"refkey1,field1\n" + b"".join(b"k%d,%d\n" % pair for pair in enumerate(numbers))


TABLE = _table(60_000)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _metadata(**pairs: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())


def _begin(user: User, size: int, content: bytes | None = None, **metadata: str) -> httpx2.Response:
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(size),
        "Upload-Metadata": _metadata(**(metadata or {"dataset": "trades", "filename": "trades.csv"})),
    }
    if content is not None:
        headers["Content-Type"] = OCTETS
    return user.http.post(UPLOADS, content=content, headers=headers)


def _begun(user: User, size: int, **metadata: str) -> str:
    answer = _begin(user, size, **metadata)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def _patch(
    user: User, path: str, offset: int, data: bytes, *, checksum: str = "", media_type: str = OCTETS
) -> httpx2.Response:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), "Content-Type": media_type}
    if checksum:
        headers["Upload-Checksum"] = checksum
    return user.http.patch(path, content=data, headers=headers)


def _checksum(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def _offset(user: User, path: str) -> int:
    answer = user.http.head(path)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return int(answer.headers["Upload-Offset"])


def _client(server: Server, user: User) -> TusClient:
    return TusClient(f"{server.url}{UPLOADS}", headers={"Authorization": user.http.headers["Authorization"]})


def _has_part(server: Server, path: str) -> bool:
    return _id(path) in server.context.store.parts.ids()


def _id(path: str) -> str:
    return path.rpartition("/")[2]


def test_what_is_spoken_is_told_without_a_token(anybody: httpx2.Client) -> None:
    answer = anybody.options(UPLOADS)
    assert answer.status_code == 204
    assert answer.headers["Tus-Resumable"] == answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) >= {
        "creation",
        "creation-with-upload",
        "checksum",
        "expiration",
        "termination",
    }
    assert answer.headers["Tus-Max-Size"] == str(MAX_UPLOAD_BYTES)
    assert "sha256" in answer.headers["Tus-Checksum-Algorithm"]


@pytest.mark.parametrize("has_checksum", [False, True])
def test_a_client_of_the_protocol_uploads_in_pieces(server: Server, ann: User, *, has_checksum: bool) -> None:
    uploader = _client(server, ann).uploader(
        file_stream=io.BytesIO(TABLE),
        chunk_size=300_000,
        metadata={"dataset": "trades", "filename": "trades.csv"},
        upload_checksum=has_checksum,
    )
    uploader.upload()
    assert uploader.request is not None
    assert uploader.request.response_headers["location"] == "/api/v1/datasets/trades/versions/1"
    shown = ann.http.get(uploader.url).json()
    assert (shown["state"], shown["offset_bytes"], shown["filename"]) == (
        "complete",
        len(TABLE),
        "trades.csv",
    )
    assert shown["became"] == {
        "dataset": "trades",
        "version": 1,
        "digest": _sha256(TABLE),
        "columns": ["refkey1", "field1"],
    }
    assert server.context.store.verify(_sha256(TABLE))
    assert not _has_part(server, uploader.url)


def test_a_client_goes_on_where_another_stopped(server: Server, ann: User) -> None:
    first = _client(server, ann).uploader(
        file_stream=io.BytesIO(TABLE), chunk_size=200_000, metadata={"dataset": "trades"}
    )
    first.upload(stop_at=400_000)
    second = _client(server, ann).uploader(file_stream=io.BytesIO(TABLE), url=first.url, chunk_size=500_000)
    assert second.offset == 400_000
    second.upload()
    assert ann.http.get(first.url).json()["became"]["digest"] == _sha256(TABLE)


def test_the_last_upload_may_come_so_too(ann: User) -> None:
    ann.upload(rules=RULES)
    path = _begun(ann, len(TABLE), role="input", filename="../../big.csv")
    answer = _patch(ann, path, 0, TABLE)
    assert answer.status_code == 204, answer.text
    shown = ann.http.get(path).json()
    assert (shown["role"], shown["dataset"], shown["filename"]) == ("input", None, "big.csv")
    assert (shown["became"]["dataset"], shown["became"]["version"]) == ("default-input", 2)
    assert ann.generate()


def test_the_first_bytes_may_come_with_the_call_that_begins(ann: User) -> None:
    answer = _begin(ann, len(TABLE), TABLE[:1000])
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "1000")
    path = answer.headers["Location"]
    assert _patch(ann, path, 1000, TABLE[1000:]).status_code == 204
    assert ann.http.get(path).json()["became"]["digest"] == _sha256(TABLE)


def test_the_clients_name_for_a_file_is_shown_as_that_of_a_form(ann: User) -> None:
    name = "../a\u200d\u0301" + "\u00e9" * 200 + ".csv"
    shown = ann.http.get(_begun(ann, 100, dataset="trades", filename=name)).json()["filename"]
    assert shown == "\u00e1" + "\u00e9" * 124 + ".csv"
    form = ann.http.post("/api/upload-files/", files={"input": (name, TABLE[:1000])})
    assert form.json()["input"]["filename"] == shown


def test_the_clients_metadata_comes_back(ann: User) -> None:
    path = _begun(ann, 10, dataset="trades", colour="grün")
    answer = ann.http.head(path)
    assert answer.headers["Upload-Metadata"] == _metadata(dataset="trades", colour="grün")
    assert answer.headers["Upload-Length"] == "10"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", answer.headers["Upload-Expires"])


@pytest.mark.parametrize("offset", [999, 1001, 10**30])
def test_a_wrong_offset_is_409_and_changes_nothing(ann: User, offset: int) -> None:
    path = _begun(ann, len(TABLE))
    _patch(ann, path, 0, TABLE[:1000])
    assert_problem(_patch(ann, path, offset, TABLE[1000:2000]), 409, "1,000")
    assert _offset(ann, path) == 1000


def test_bytes_with_another_checksum_are_460_and_not_kept(ann: User) -> None:
    path = _begun(ann, len(TABLE))
    assert _patch(ann, path, 0, TABLE[:1000], checksum=_checksum(TABLE[:1000])).status_code == 204
    wrong = _patch(ann, path, 1000, TABLE[1000:2000], checksum=_checksum(b"other", "sha1"))
    assert_problem(wrong, 460, "sha1")
    assert _offset(ann, path) == 1000
    rest = TABLE[1000:]
    assert_problem(_patch(ann, path, 1000, rest[:-1] + b"x", checksum=_checksum(rest)), 460)
    assert _patch(ann, path, 1000, rest, checksum=_checksum(rest, "sha1")).status_code == 204
    assert ann.http.get(path).json()["became"]["digest"] == _sha256(TABLE)


@pytest.mark.parametrize("checksum", ["md5 AAAA", "sha256 !", "sha256 AAAA", "sha256"])
def test_a_checksum_that_cannot_be_judged_is_400(ann: User, checksum: str) -> None:
    path = _begun(ann, 10)
    assert_problem(_patch(ann, path, 0, b"a", checksum=checksum), 400, "Upload-Checksum")
    assert _offset(ann, path) == 0


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("", ["dataset", "role"]),
        ("dataset dHJhZGVz,role aW5wdXQ=", ["dataset", "role"]),
        (_metadata(role="rules"), ["input", "reference"]),
        (_metadata(dataset="a/b"), ["slash"]),
        (_metadata(dataset="default-input"), ["another kind"]),
        ("dataset !", ["Base64"]),
        ("dataset /w==", ["UTF-8"]),
        ("dataset dA==,dataset dA==", ["once"]),
        ("x" * 5000, ["4,096"]),
    ],
)
def test_metadata_that_says_no_place_for_the_file_is_400(ann: User, metadata: str, words: list[str]) -> None:
    headers = {"Upload-Length": "10", "Upload-Metadata": metadata}
    assert_problem(ann.http.post(UPLOADS, headers=headers), 400, *words)


@pytest.mark.parametrize("length", ["", "-1", "ten", "1.5"])
def test_a_length_that_is_none_is_400(ann: User, length: str) -> None:
    headers = {"Upload-Length": length} if length else {}
    answer = ann.http.post(UPLOADS, headers={**headers, "Upload-Metadata": _metadata(role="input")})
    assert_problem(answer, 400, "upload-length")


def test_what_is_too_large_is_refused_before_it_comes(ann: User) -> None:
    assert_problem(_begin(ann, MAX_UPLOAD_BYTES + 1), 413, f"{MAX_UPLOAD_BYTES:,}")
    path = _begun(ann, 10)
    assert_problem(_patch(ann, path, 0, b"a,b\n" * 100_000), 413, "10")
    assert _offset(ann, path) <= 10


def test_another_version_of_the_protocol_is_412(ann: User) -> None:
    answer = ann.http.post(UPLOADS, headers={"Tus-Resumable": "0.2.2", "Upload-Length": "1"})
    assert_problem(answer, 412, "1.0.0")
    assert answer.headers["Tus-Version"] == "1.0.0"


def test_bytes_of_another_media_type_are_415(ann: User) -> None:
    path = _begun(ann, 10)
    assert_problem(_patch(ann, path, 0, b"a", media_type="text/csv"), 415, OCTETS)


def test_a_client_without_patch_may_name_the_method(ann: User) -> None:
    path = _begun(ann, len(TABLE))
    headers = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0", "Content-Type": OCTETS}
    assert ann.http.post(path, content=TABLE, headers=headers).status_code == 204


def test_nothing_is_added_to_what_is_complete(ann: User) -> None:
    path = _begun(ann, len(TABLE))
    assert _patch(ann, path, 0, TABLE).status_code == 204
    assert_problem(_patch(ann, path, len(TABLE), b"x"), 409, "complete")
    assert _offset(ann, path) == len(TABLE)


@pytest.mark.parametrize(
    ("content", "words", "in_pieces"),
    [
        (PNG, ["PNG"], False),
        (b"a,a\n1,2\n", ["both called"], True),
        (gzip.compress(TABLE)[:-100], ["gzip", "cut off"], False),
        (gzip.compress(b"a,b\n" + b"1" * 100_000_000), ["unpacked", "100 times"], True),
    ],
    ids=["png", "header", "cut gzip", "bomb"],
)
def test_a_whole_file_that_cannot_be_used_is_refused_with_the_reason(
    server: Server, ann: User, content: bytes, words: list[str], *, in_pieces: bool
) -> None:
    path = _begun(ann, len(content), role="input")
    half = len(content) // 2 if in_pieces else 0
    if in_pieces:
        assert _patch(ann, path, 0, content[:half], checksum=_checksum(content[:half])).status_code == 204
    assert_problem(_patch(ann, path, half, content[half:]), 400, *words)
    shown = ann.http.get(path).json()
    assert (shown["state"], shown["became"]) == ("refused", None)
    assert words[0] in shown["error"]
    assert ann.http.head(path).status_code == 410
    assert_problem(_patch(ann, path, 0, content), 410)
    assert not _has_part(server, path)


PIECE = 100_000
LARGE_PNG = PNG + bytes(2_500_000)


@pytest.mark.parametrize(
    "pieces",
    [
        [(1_500_000, True)],
        [(PIECE, True), (PIECE, True), (PIECE, True)],
        [(PIECE, False), (1_500_000, False)],
        [(PIECE, True), (1_500_000, False)],
        [(PIECE, False), (1_500_000, True)],
    ],
    ids=["at once", "in pieces", "without", "last without", "last with"],
)
def test_a_head_that_cannot_be_used_is_refused_as_soon_as_it_is_there(
    server: Server, ann: User, pieces: list[tuple[int, bool]]
) -> None:
    path = _begun(ann, len(LARGE_PNG), role="input")
    answers = []
    place = 0
    for size, has_checksum in pieces:
        data = LARGE_PNG[place : place + size]
        answers.append(_patch(ann, path, place, data, checksum=_checksum(data) if has_checksum else ""))
        place += size
    assert [answer.status_code for answer in answers[:-1]] == [204] * (len(pieces) - 1)
    assert_problem(answers[-1], 400, "PNG")
    shown = ann.http.get(path).json()
    assert (shown["state"], shown["became"]) == ("refused", None)
    assert "PNG" in shown["error"]
    assert ann.http.head(path).status_code == 410
    assert not _has_part(server, path)


def test_a_head_with_another_checksum_is_not_judged(ann: User) -> None:
    path = _begun(ann, len(LARGE_PNG), role="input")
    assert _patch(ann, path, 0, LARGE_PNG[:1_500_000], checksum=_checksum(b"")).status_code == 460
    assert _patch(ann, path, 0, TABLE, checksum=_checksum(TABLE)).status_code == 204


def test_an_empty_file_is_refused_at_once(ann: User) -> None:
    assert_problem(_begin(ann, 0), 400, "empty")


def test_an_ended_upload_leaves_nothing(server: Server, ann: User) -> None:
    path = _begun(ann, len(TABLE))
    _patch(ann, path, 0, TABLE[:1000])
    assert ann.http.delete(path).status_code == 204
    assert ann.http.head(path).status_code == 404
    assert_problem(_patch(ann, path, 1000, TABLE[1000:]), 404)
    assert_problem(ann.http.delete(path), 404)
    assert not _has_part(server, path)


def test_an_expired_upload_is_410_until_it_is_swept(server: Server, ann: User) -> None:
    path, other = _begun(ann, len(TABLE)), _begun(ann, len(TABLE))
    for one in (path, other):
        _patch(ann, one, 0, TABLE[:1000])
    with server.context.catalog.transaction() as session:
        past = text("UPDATE resumable_uploads SET expires_at = now() - interval '1 second' WHERE id = :id")
        session.execute(past, {"id": _id(path)})
    assert ann.http.head(path).status_code == 410
    assert_problem(_patch(ann, path, 1000, TABLE[1000:]), 410, "expired")
    assert_problem(ann.http.get(path), 410)
    assert retention.remove_old(server.context).uploads == 1
    assert_problem(ann.http.get(path), 404)
    assert not _has_part(server, path)
    assert _offset(ann, other) == 1000


def test_the_upload_of_another_user_is_404(ann: User, bob: User) -> None:
    path = _begun(ann, len(TABLE))
    assert bob.http.head(path).status_code == 404
    assert_problem(bob.http.get(path), 404)
    assert_problem(bob.http.delete(path), 404)
    assert_problem(_patch(bob, path, 0, TABLE), 404)
    assert _offset(ann, path) == 0


def _connect(server: Server) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def _patch_head(user: User, path: str, offset: int, length: int, *more: str) -> bytes:
    lines = [
        f"PATCH {path} HTTP/1.1",
        "Host: gateway",
        f"Authorization: {user.http.headers['Authorization']}",
        f"Content-Type: {OCTETS}",
        f"Upload-Offset: {offset}",
        f"Content-Length: {length}",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_what_came_before_a_cut_is_kept(server: Server, ann: User, how: str) -> None:
    path = _begun(ann, len(TABLE))
    connection = _connect(server)
    connection.sendall(_patch_head(ann, path, 0, len(TABLE)) + TABLE[:700_000])
    _until(lambda: _has_part(server, path))
    if how == "reset":  # which may overtake what is on its way; only what arrived can be kept
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    _until(lambda: _is_free(ann, path))
    offset = _offset(ann, path)
    # What the HTTP server has not handed on yet goes with the connection.
    assert 700_000 - 2 * 65_536 <= offset <= 700_000 or how == "reset"
    assert _patch(ann, path, offset, TABLE[offset:]).status_code == 204
    assert ann.http.get(path).json()["became"]["digest"] == _sha256(TABLE)


def _is_free(user: User, path: str) -> bool:
    """Whether nobody writes it any more; a wrong offset is judged only then."""
    return "belong there" in _patch(user, path, 10**9, b"").json()["detail"]


def test_a_cut_body_with_a_checksum_counts_for_nothing(server: Server, ann: User) -> None:
    path = _begun(ann, len(TABLE))
    connection = _connect(server)
    sum_ = f"Upload-Checksum: {_checksum(TABLE)}"
    connection.sendall(_patch_head(ann, path, 0, len(TABLE), sum_) + TABLE[:700_000])
    _until(lambda: _has_part(server, path))
    connection.close()
    _until(lambda: _is_free(ann, path))
    assert _offset(ann, path) == 0
    assert _patch(ann, path, 0, TABLE, checksum=_checksum(TABLE)).status_code == 204


@pytest.fixture
def other_gateway(server: Server) -> Iterator[str]:
    """A second gateway with the same database and storage."""
    yield from serve(create_app(server.settings))


def test_one_at_a_time_writes_whichever_gateway_it_asks(
    server: Server, other_gateway: str, ann: User
) -> None:
    path = _begun(ann, len(TABLE))
    with _connect(server) as connection:
        connection.sendall(_patch_head(ann, path, 0, len(TABLE)) + TABLE[:500_000])
        _until(lambda: _has_part(server, path))
        for url in (server.url, other_gateway):
            second = _patch(ann, f"{url}{path}", 0, TABLE)
            assert_problem(second, 423)
            assert second.headers["Retry-After"]
            assert_problem(ann.http.delete(f"{url}{path}"), 423)
        connection.sendall(TABLE[500_000:])
        assert connection.recv(4096).startswith(b"HTTP/1.1 204")
    there = ann.http.get(f"{other_gateway}{path}").json()
    assert there["became"]["digest"] == _sha256(TABLE)


def test_a_tail_that_was_never_synced_is_cut(server: Server, ann: User) -> None:
    """As after a crash: the file is longer than the catalog says."""
    path = _begun(ann, len(TABLE))
    _patch(ann, path, 0, TABLE[:1000])
    with server.context.store.parts.writing(_id(path)) as part:
        part.write(b"torn" * 100)
    assert _offset(ann, path) == 1000
    assert _patch(ann, path, 1000, TABLE[1000:]).status_code == 204
    assert ann.http.get(path).json()["became"]["digest"] == _sha256(TABLE)


def test_bytes_that_a_disk_lost_are_asked_for_again(server: Server, ann: User) -> None:
    path = _begun(ann, len(TABLE))
    _patch(ann, path, 0, TABLE[:1000])
    with server.context.store.parts.writing(_id(path)) as part:
        part.cut(300)
    assert _offset(ann, path) == 300
    assert _patch(ann, path, 300, TABLE[300:]).status_code == 204
    assert ann.http.get(path).json()["became"]["digest"] == _sha256(TABLE)


def test_a_file_that_was_published_before_a_crash_need_not_come_again(server: Server, ann: User) -> None:
    """Whoever dies between publishing and the version leaves a digest in the catalog and no part."""
    table = _table(2000, seed=5)
    path = _begun(ann, len(table))
    upload_id = _id(path)
    _patch(ann, path, 0, table[:-100])
    with server.context.store.parts.writing(upload_id) as part:
        part.write(table[-100:])
        server.context.store.put_part(part, _sha256(table))
    with server.context.catalog.transaction() as session:
        session.execute(
            text("UPDATE resumable_uploads SET digest = :digest WHERE id = :id"),
            {"digest": _sha256(table), "id": upload_id},
        )
    offset = _offset(ann, path)
    assert offset == len(table) - 100
    assert _patch(ann, path, offset, table[offset:]).status_code == 204
    assert ann.http.get(path).json()["became"]["digest"] == _sha256(table)
    assert not _has_part(server, path)


def test_a_refused_client_is_told_why(server: Server, ann: User) -> None:
    uploader = _client(server, ann).uploader(file_stream=io.BytesIO(TABLE), metadata={"dataset": "a/b"})
    with pytest.raises(TusCommunicationError) as caught:
        uploader.upload()
    assert b"no slash" in caught.value.response_content


def test_parts_of_users_that_are_gone_are_swept(context: Context) -> None:
    with context.store.parts.writing("0" * 32) as part:
        part.write(b"left")
    assert resumable.remove_expired(context) == 1
    assert list(context.store.parts.ids()) == []


@pytest.mark.parametrize(("call", "end"), [("fdatasync", 1_000), ("fsync", 0)])
def test_what_a_disk_failed_to_keep_is_sent_again(
    server: Server, ann: User, break_disk: Callable[..., None], call: str, end: int
) -> None:
    """The pages that it lost are believed to be on disk afterwards, so nothing that lay there may count."""
    path = _begun(ann, len(TABLE))
    assert _patch(ann, path, 0, TABLE[:1_000]).status_code == 204
    break_disk(call)
    assert_problem(_patch(ann, path, 1_000, TABLE[1_000 : len(TABLE) - end]), 500, "storage")
    part = server.settings.storage_path / "parts" / _id(path)
    part.write_bytes(TABLE[:1_000] + b"\0" * (part.stat().st_size - 1_000))
    assert _offset(ann, path) == 1_000
    assert _patch(ann, path, 1_000, TABLE[1_000:]).status_code == 204
    stored = ann.http.get("/api/v1/datasets/trades").json()["latest"]
    assert stored["digest"] == _sha256(TABLE)
    assert server.context.store.verify(stored["digest"])
    (server.settings.storage_path / SUSPECT).unlink()
