"""Receivers of deliveries for tests: a web server and a mail server on loopback; and reports that are delivered there."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook

from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import report_runs
from reportgen_dagster.services.context import Context
from tests.services.conftest import World
from tests.services.named import make_parts, put_report

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
SENDER = "reports@example.com"


@dataclass
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str = SECRET) -> Any:
        """Return the body's data, once the signature was found right."""
        return Webhook(secret).verify(self.body, self.headers)


Answer = tuple[int, Mapping[str, str], bytes]


@dataclass
class Receiver:
    """A web server that keeps what comes and answers what it is told, 204 unless told otherwise."""

    port: int
    received: list[Received] = field(default_factory=list)
    answers: list[Answer | Callable[[Any], None]] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def will_answer(self, *statuses: int) -> None:
        self.answers.extend((status, {}, b"") for status in statuses)


@contextmanager
def receiving(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """Run a web server."""

    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            receiver.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append(Received(self.path, dict(self.headers), body))
            answer = receiver.answers.pop(0) if receiver.answers else (204, {}, b"")
            if callable(answer):
                answer(self)
                return
            status, headers, content = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that hangs up

    server = Server((host, port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """A mail server that keeps what comes; addresses may be refused."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    signed_in: list[tuple[str, str]] = field(default_factory=list)
    is_safe: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.is_safe.append(session.ssl is not None)
        return "250 OK"

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
        from aiosmtpd.smtp import AuthResult

        self.signed_in.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"let me in", handled=False)


@contextmanager
def mailbox(tls: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """Run a mail server; with TLS it wants STARTTLS and somebody who signs in."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    box = Mailbox(port)
    options: dict[str, Any] = {}
    if tls is not None:
        options = {
            "tls_context": tls,
            "require_starttls": True,
            "auth_required": True,
            "authenticator": box.authenticate,
        }
    controller = Controller(box, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@contextmanager
def told(world: World, **settings: Any) -> Iterator[World]:
    """Open the same installation with other settings."""
    context = Context.open(world.context.settings.model_copy(update=settings))
    yield World(context, world.ann, world.bob)
    context.close()


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate of a host that vouches for itself; return what a server uses and the file to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = utc_now()
    until = now + timedelta(days=1)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now, until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    own, trusted = folder / "own.pem", folder / "trusted.pem"
    trusted.write_bytes(made.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    own.write_bytes(private + trusted.read_bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own)
    return context, trusted


def deliver(world: World, *deliveries: Mapping[str, Any], name: str = "daily", **wishes: Any) -> None:
    """Make a report that is delivered."""
    if world.sql("SELECT count(*) FROM datasets WHERE name = 'trades'") == [(0,)]:
        make_parts(world)
    put_report(world, name, deliveries=deliveries, **wishes)


def made(world: World, name: str = "daily") -> str:
    """Let a run of a report succeed and return its id."""
    run_id = report_runs.run_report(world.context, world.ann, name).id
    assert world.publish(world.claim(run_id))
    return run_id


def hook(receiver: Receiver, **more: Any) -> dict[str, Any]:
    """A webhook to a receiver."""
    return {"webhook": {"url": receiver.url, "secret": "partner"}, **more}


def let_pass(world: World, seconds: float) -> None:
    """Let everything in the outbox look as if it had been written, tried and leased so long ago."""
    world.sql(
        "UPDATE deliveries SET (created_at, next_at, give_up_at, leased_until) = (created_at - span, next_at - span,"
        " give_up_at - span, leased_until - span) FROM make_interval(secs => :seconds) AS span",
        seconds=seconds,
    )


def rows(world: World, columns: str = "channel, state, attempts") -> Sequence[tuple[Any, ...]]:
    """Return the outbox."""
    return world.sql(f"SELECT {columns} FROM deliveries ORDER BY created_at, channel, id")  # noqa: S608
