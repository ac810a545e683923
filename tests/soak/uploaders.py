"""Somebody who uploads over sockets of their own, and what they send, for the rigs."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import socket
from dataclasses import dataclass
from uuid import uuid4

BOUNDARY = "a-boundary"
UPLOADS = "/api/v1/uploads"
OCTETS = "application/offset+octet-stream"
FORM_BEGIN = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="input"; filename="i.csv"\r\n\r\n'.encode()
)
FORM_END = f"\r\n--{BOUNDARY}--\r\n".encode()
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True)
class Uploader:
    """A user of the gateway on a port of this machine."""

    port: int
    token: str

    @classmethod
    def register(cls, port: int) -> Uploader:
        """Register somebody."""
        nobody = cls(port, "")
        body = json.dumps({"email": f"{uuid4().hex}@example.com", "name": "Ann", "password": "pass123"})
        status, _, answer = nobody.request(
            "POST", "/api/auth/register", body, Content_Type="application/json"
        )
        assert status == 201, answer
        return cls(port, f"Bearer {json.loads(answer)['access']}")

    def request(
        self, method: str, path: str, body: bytes | str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request and return status, headers and body of the answer."""
        told = {name.replace("_", "-"): text for name, text in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, told | {"Authorization": self.token})
            answer = connection.getresponse()
            told = {name.lower(): text for name, text in answer.getheaders()}
            return answer.status, told, answer.read()
        finally:
            connection.close()

    def begin(self, dataset: str, size: int) -> str:
        """Begin a resumable upload and return its path."""
        metadata = f"dataset {base64.b64encode(dataset.encode()).decode()}"
        status, headers, body = self.request(
            "POST", UPLOADS, Upload_Length=str(size), Upload_Metadata=metadata
        )
        assert status == 201, body
        return headers["location"]

    def head(self, method: str, path: str, *lines: str) -> bytes:
        """Return the head of a request."""
        told = [f"{method} {path} HTTP/1.1", "Host: gateway", f"Authorization: {self.token}", *lines]
        return ("\r\n".join(told) + "\r\n\r\n").encode()

    def connect(self) -> socket.socket:
        """Connect to the gateway."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)


def table(size: int) -> bytes:
    """Make a table of about so many bytes, unlike any other."""
    rows = [b"key,price\n"]
    row = secrets.token_hex(3000).encode()
    while len(rows) * 6002 < size:
        rows.append(row[len(rows) % 50 :] + b",%d\n" % len(rows))
    return b"".join(rows)
