"""What one user may use of the service, told and kept."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from api_gateway.main import create_app
from reportgen_dagster.errors import StorageFullError
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import ticks
from reportgen_dagster.storage import disk
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server, User, assert_problem, serve

STORED = 20_000
UPLOADS = "/api/v1/uploads"


@pytest.fixture(scope="module")
def small(server: Server) -> Iterator[str]:
    """A gateway that allows each user little."""
    bounds = {
        "stored_bytes_per_user": STORED,
        "files_per_user": 4,
        "open_uploads_per_user": 2,
        "queued_runs_per_user": 1,
    }
    yield from serve(create_app(server.settings.model_copy(update=bounds)))


@pytest.fixture
def ann(small: str) -> User:
    return User(small)


def _table(size: int) -> bytes:
    """A table of so many bytes that nobody has yet."""
    begun = f"key,{secrets.token_hex(4)}\n".encode()
    return begun + b"1,2\n" * ((size - len(begun)) // 4)


def _upload(user: User, content: bytes):
    return user.http.post("/api/upload-files/", files={"input": ("i.csv", content)})


def _begin(user: User, size: int):
    dataset = base64.b64encode(b"trades").decode()
    headers = {"Upload-Length": str(size), "Upload-Metadata": f"dataset {dataset}"}
    return user.http.post(UPLOADS, headers=headers)


def _usage(user: User) -> dict:
    answer = user.http.get("/api/v1/me/usage")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_used_and_allowed_are_shown(ann: User) -> None:
    assert _usage(ann) == {
        "stored_bytes": {"used": 0, "allowed": STORED},
        "files": {"used": 0, "allowed": 4},
        "open_uploads": {"used": 0, "allowed": 2},
        "queued_runs": {"used": 0, "allowed": 1},
        "largest_file_bytes": 3_000_000,
    }
    ann.upload()
    ann.generate()
    ann.upload(input=REFERENCE)  # stored already, and a version more
    _begin(ann, 500)
    usage = _usage(ann)
    assert usage["stored_bytes"]["used"] == len(INPUT) + len(REFERENCE) + len(RULES) + 500
    assert [usage[name]["used"] for name in ("files", "open_uploads", "queued_runs")] == [3, 1, 1]


def test_where_nothing_is_bounded_null_says_so(server: Server) -> None:
    user = User(server.url)
    assert _usage(user)["stored_bytes"]["allowed"] > STORED


def test_bytes_beyond_what_is_allowed_are_413_with_the_numbers(server: Server, ann: User) -> None:
    assert _upload(ann, _table(15_000)).status_code == 200
    before = server.files()
    body = assert_problem(_upload(ann, _table(9_000)), 413, f"{STORED:,}")
    assert body["hint"]
    assert server.files() == before
    two = {name: ("x.csv", _table(3_000)) for name in ("input", "reference")}
    assert_problem(ann.http.post("/api/upload-files/", files=two), 413)
    assert_problem(_begin(ann, 6_000), 413, f"{STORED:,}", "6,000")
    assert _upload(ann, _table(3_000)).status_code == 200


def _long_rules(size: int) -> bytes:
    """Rules of so many bytes that nobody has yet."""
    begun = RULES + f"# {secrets.token_hex(4)} ".encode()
    return begun + b"x" * (size - len(begun))


def _put_rules(user: User, rules: bytes):
    return user.http.put(
        "/api/v1/rulesets/margin", content=rules, headers={"Content-Type": "application/yaml"}
    )


def test_each_version_of_rules_counts_however_it_came(ann: User) -> None:
    ann.upload(rules=_long_rules(9_000))
    assert _put_rules(ann, _long_rules(9_000)).status_code == 201
    used = _usage(ann)["stored_bytes"]["used"]
    assert used == 18_000 + len(INPUT) + len(REFERENCE)
    rules = {"rules": ("r.yaml", _long_rules(3_000))}
    scheduled = {
        "rules_file": rules["rules"],
        "input_file": ("i.csv", INPUT),
        "reference_file": ("r.csv", REFERENCE),
    }
    for answer in (
        _put_rules(ann, _long_rules(3_000)),
        ann.http.post("/api/upload-rules/", files={"file": rules["rules"]}),
        ann.http.post("/api/generate-report/", files=rules),
        ann.http.post("/api/trigger-scheduled-report/", files=scheduled, data={"cron": "0 6 * * *"}),
    ):
        assert_problem(answer, 413, f"{STORED:,}")
    assert _usage(ann)["stored_bytes"]["used"] == used
    assert ann.http.get("/api/v1/rulesets/margin").json()["version"] == 1
    assert_problem(_upload(ann, _table(3_000)), 413)


def test_files_that_come_together_exceed_no_bound(ann: User) -> None:
    """Each of them would fit when it begins."""
    first, second = (_table(12_000) for _ in range(2))

    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="input"; filename="i.csv"\r\n\r\n' + first[:6_000]
        assert _upload(ann, second).status_code == 200
        yield first[6_000:] + b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = ann.http.post("/api/upload-files/", content=body(), headers=headers)
    assert_problem(answer, 413, f"{STORED:,}")
    assert _usage(ann)["stored_bytes"]["used"] == len(second)


def test_uploads_and_runs_that_begin_together_exceed_no_bound(ann: User) -> None:
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda _: _begin(ann, 100).status_code, range(8)))
    assert sorted(begun) == [201] * 2 + [429] * 6
    ann.upload()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ann.http.post("/api/generate-report/").status_code, range(8)))
    assert sorted(made) == [202] + [429] * 7


def test_what_open_uploads_will_bring_counts(ann: User) -> None:
    path = _begin(ann, 15_000).headers["Location"]
    assert_problem(_upload(ann, _table(9_000)), 413)
    assert ann.http.delete(path).status_code == 204
    assert _upload(ann, _table(9_000)).status_code == 200


def test_files_beyond_what_is_allowed_are_429(ann: User) -> None:
    for _ in range(4):
        assert _upload(ann, _table(100)).status_code == 200
    answer = _upload(ann, _table(100))
    assert_problem(answer, 429, "4 files", "5")
    assert int(answer.headers["Retry-After"]) > 0
    assert_problem(_begin(ann, 100), 429)


def test_open_uploads_beyond_what_is_allowed_are_429(ann: User) -> None:
    for _ in range(2):
        assert _begin(ann, 100).status_code == 201
    assert_problem(_begin(ann, 100), 429, "2 open uploads")


def test_waiting_runs_beyond_what_is_allowed_are_429(ann: User) -> None:
    ann.upload()
    task_id = ann.generate()
    answer = ann.http.post("/api/generate-report/")
    assert_problem(answer, 429, "1 runs that wait")
    assert answer.headers["Retry-After"]
    assert ann.http.post(f"/api/v1/runs/{task_id}/cancel").status_code == 200
    assert ann.generate()


def test_making_a_run_again_waits_for_its_turn_too(ann: User) -> None:
    ann.upload()
    task_id = ann.generate()
    rerun = f"/api/v1/runs/{task_id}/rerun"
    answer = ann.http.post(rerun)
    assert_problem(answer, 429, "1 runs that wait")
    assert answer.headers["Retry-After"]
    assert ann.http.post(f"/api/v1/runs/{task_id}/cancel").status_code == 200
    assert ann.http.post(rerun).status_code == 202


def _schedule(user: User, **fields: str):
    files = {
        "input_file": ("i.csv", INPUT),
        "reference_file": ("r.csv", REFERENCE),
        "rules_file": ("r.yaml", RULES),
    }
    form = {"cron": "0 6 * * *", "report_name": "daily", **fields}
    return user.http.post("/api/trigger-scheduled-report/", files=files, data=form)


def test_a_schedule_that_runs_at_once_waits_for_its_turn_too(server: Server, ann: User) -> None:
    assert _schedule(ann).status_code == 201
    assert_problem(_schedule(ann, cron="0 7 * * *"), 429, "1 runs that wait")
    (schedule,) = ann.http.get("/api/v1/schedules").json()["items"]
    assert schedule["cron"] == "0 6 * * *", "nothing of it is kept"
    ticks.accept_tick(server.context, schedule["id"], utc_now())
    assert _usage(ann)["queued_runs"]["used"] == 2, "whoever is told a time by its schedule is not refused"
    for waiting in ann.http.get("/api/v1/runs").json()["items"]:
        assert ann.http.post(f"/api/v1/runs/{waiting['task_id']}/cancel").status_code == 200
    assert _schedule(ann, cron="0 7 * * *").status_code == 201


def test_a_schedule_whose_files_come_beside_others_exceeds_no_bound(ann: User) -> None:
    """Its file would fit when it begins."""
    own, other = INPUT + b"k1,1\n" * 2_400 + f"{secrets.token_hex(4)},1\n".encode(), _table(12_000)
    fields = {"rules_file": RULES, "cron": b"0 6 * * *", "reference_file": REFERENCE, "input_file": own}

    def body() -> Iterator[bytes]:
        for name, content in fields.items():
            filename = b'; filename="f.yaml"' if name.endswith("file") else b""
            yield b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n' % (name.encode(), filename)
            yield content[:6_000]
            if content is own:
                assert _upload(ann, other).status_code == 200
            yield content[6_000:] + b"\r\n"
        yield b"--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = ann.http.post("/api/trigger-scheduled-report/", content=body(), headers=headers)
    assert_problem(answer, 413, f"{STORED:,}")
    assert _usage(ann)["stored_bytes"]["used"] == len(other)


def test_uploads_leave_room_on_the_disk_for_reports(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is nearly full: what is kept free is made larger than what is free."""
    ann = User(server.url)
    monkeypatch.setattr(disk, "RESERVED_SHARE", 1)
    monkeypatch.setattr(disk, "MOST_RESERVED_BYTES", 10**18)
    before = server.files()
    for answer in (_upload(ann, INPUT), _begin(ann, 1000)):
        body = assert_problem(answer, 507, "kept for running reports")
        assert body["code"] == StorageFullError.code
    assert server.files() == before
