"""The real gateway on a real port with a real database; Dagster is away, so that nothing but the promise is tested."""

from __future__ import annotations

import io
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from api_gateway.connections import BoundedProtocol
from api_gateway.main import create_app
from reportgen_dagster.services import attempts
from reportgen_dagster.services.attempts import NewArtifact
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.prepare import make_database
from tests.conftest import database_beside

MAX_UPLOAD_BYTES = 3_000_000
RULES = b"- {output: double, formula: field1 * 2}\n- {output: name, formula: refdata1}\n"
INPUT = b"refkey1,field1\nk1,1\nk2,2\n"
REFERENCE = b"refkey1,refdata1\nk1,one\nk2,two\n"


class User:
    """One account, speaking only HTTP."""

    def __init__(self, url: str) -> None:
        self.http = httpx2.Client(base_url=url, timeout=30)
        self.email = f"{uuid4().hex}@example.com"
        answer = self.http.post(
            "/api/auth/register/", json={"email": self.email, "name": "Ann", "password": "pass123"}
        )
        assert answer.status_code == 201, answer.text
        self.session = answer.json()
        self.id = self.session["user"]["id"]
        self.http.headers["Authorization"] = f"Bearer {self.session['access']}"

    def upload(self, *, rules: bytes = RULES, **files: bytes) -> None:
        """Upload rules and files, by default a working example."""
        parts = files or {"input": INPUT, "reference": REFERENCE}
        sent = self.http.post("/api/upload-rules/", files={"file": ("rules.yaml", rules)})
        assert sent.status_code == 200, sent.text
        sent = self.http.post(
            "/api/upload-files/", files={name: (f"{name}.csv", body) for name, body in parts.items()}
        )
        assert sent.status_code == 200, sent.text

    def generate(self, **parts: tuple[str, bytes]) -> str:
        """Accept a run and return its task id."""
        answer = self.http.post("/api/generate-report/", files=parts or None)
        assert answer.status_code == 202, answer.text
        return answer.json()["task_id"]


@dataclass(frozen=True)
class Server:
    """A gateway that serves."""

    url: str
    app: FastAPI
    settings: Settings
    context: Context

    def files(self) -> set[Path]:
        """Return everything that lies in storage, complete or not."""
        return {path for path in self.settings.storage_path.rglob("*") if path.is_file()}


class _ToldServer(uvicorn.Server):
    """A server that tells when it serves, or that it will not."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()


def serve(app: FastAPI, protocol: type[BoundedProtocol] = BoundedProtocol) -> Iterator[str]:
    """Serve an app from a thread on a free port; yield its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_level="warning", lifespan="on", proxy_headers=False, http=protocol, ws="none"
    )
    server = _ToldServer(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert server.settled.wait(60)
        assert server.started
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def server(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    database = database_beside(postgres_url, "gateway")
    make_database(database)
    settings = Settings(
        home=tmp_path_factory.mktemp("home"),
        database_url=SecretStr(database),
        dagster_url="http://127.0.0.1:9",
        broker_url=SecretStr("redis://127.0.0.1:9/0"),
        max_upload_bytes=MAX_UPLOAD_BYTES,
        registrations_per_hour=100_000,
    )
    app = create_app(settings)
    context = Context.open(settings)
    try:
        for url in serve(app):
            yield Server(url, app, settings, context)
    finally:
        context.close()


@pytest.fixture(scope="session")
def second_url(server: Server) -> Iterator[str]:
    """Where another gateway of the same installation serves."""
    yield from serve(create_app(server.settings))


@pytest.fixture
def ann(server: Server) -> User:
    return User(server.url)


@pytest.fixture
def bob(server: Server) -> User:
    return User(server.url)


@pytest.fixture
def admin(server: Server) -> Iterator[User]:
    """The only admin."""
    made = User(server.url)
    with server.context.catalog.transaction() as session:
        session.execute(
            text("UPDATE users SET role = CASE id WHEN :id THEN 'admin' ELSE 'user' END"), {"id": made.id}
        )
    yield made
    with server.context.catalog.transaction() as session:
        session.execute(text("UPDATE users SET role = 'user' WHERE id = :id"), {"id": made.id})


@pytest.fixture
def anybody(server: Server) -> Iterator[httpx2.Client]:
    """Somebody without a token."""
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What the gateway logs meanwhile."""
    (handler,) = logging.getLogger("api_gateway").handlers
    assert isinstance(handler, logging.StreamHandler)
    written = io.StringIO()
    before = handler.setStream(written)
    yield written
    handler.setStream(before)


@pytest.fixture
def finish(server: Server) -> Callable[..., None]:
    """Let a run succeed, as `finish_run` does."""
    return partial(finish_run, server.context)


def finish_run(
    context: Context, task_id: str, *, report: bytes = b"", rejects: bytes = b"", **others: bytes
) -> None:
    """Let a run succeed with the given report, rejects and files in other formats, as the worker does."""
    files = {**others, **({"csv": report} if report else {})}
    claim = _claim(context, task_id)
    done = attempts.publish(
        context,
        claim,
        artifacts=[
            NewArtifact.of(name, f"report.{name}", _stored(context, data)) for name, data in files.items()
        ],
        rejects=_stored(context, rejects) if rejects else None,
        outcome={
            "row_count": max(report.count(b"\n") - 1, 0),
            "reject_count": max(rejects.count(b"\n") - 1, 0),
            "used_count": max(report.count(b"\n") - 1, 0),
            "input_count": max(report.count(b"\n") - 1, 0) + max(rejects.count(b"\n") - 1, 0),
        },
    )
    assert done


def _claim(context: Context, task_id: str) -> attempts.Claim:
    dagster_run_id = str(uuid4())
    assert attempts.begin(context, dagster_run_id, "test")
    claim = attempts.claim(context, task_id, dagster_run_id)
    assert claim
    return claim


claim_run = _claim


def _stored(context: Context, data: bytes):
    with context.store.new_blob() as blob:
        blob.write(data)
        return blob.finish()


def assert_problem(answer: httpx2.Response, status: int, *words: str) -> dict:
    """Assert that an answer is a problem of the one shape, and that it says the words."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert {"type", "title", "status", "detail", "instance", "error", "code", "errors", "request_id"} <= set(
        body
    )
    assert (body["status"], body["error"]) == (status, body["detail"])
    assert body["request_id"] == answer.headers["X-Request-Id"]
    said = f"{body['detail']} {body['hint']} {body['errors']}".lower()
    assert [word for word in words if word.lower() not in said] == [], said
    return body
