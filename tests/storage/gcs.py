"""Google's storage on loopback: the gcp-storage-emulator's, with the calls of the XML API that obstore makes.

The emulator answers the JSON API; of the XML API it knows GET and PUT of an object, without the headers that a client of it
needs. So these calls are answered here as Google documents them, from the emulator's own buckets and objects: conditional
writes, parts, HEAD, listings and deletion.
"""

from __future__ import annotations

import base64
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import buckets, objects
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

BUCKET = "reports"


@contextmanager
def gcs_server() -> Iterator[str]:
    """Serve; yield the address."""
    storage = Storage(use_memory_fs=True)
    buckets.create_bucket(BUCKET, storage)
    server = _Server(("127.0.0.1", 0), partial(_Handler, storage))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    """Says nothing of clients that are gone."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(RequestHandler):
    """Answers paths of the XML API itself and leaves all others to the emulator."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    parts: dict[str, dict[int, bytes]] = {}  # noqa: RUF012 - of all connections
    lock = threading.Lock()

    def do_GET(self) -> None:  # noqa: N802 - so it is called
        """Give an object, a range of it, or a listing."""
        self._read_target()
        if self.key:
            self._object(is_head=False)
        else:
            self._list()

    def do_HEAD(self) -> None:  # noqa: N802 - so it is called
        """Tell of an object."""
        self._read_target()
        self._object(is_head=True)

    def do_PUT(self) -> None:  # noqa: N802 - so it is called
        """Store an object, or a part of one."""
        body = self._read_target()
        if "uploadId" in self.query:
            self.parts[self.query["uploadId"]][int(self.query["partNumber"])] = body
            self._answer(200, headers={"ETag": f'"{objects._md5(body)}"'})
        else:
            self._store(body, is_composed=False)

    def do_POST(self) -> None:  # noqa: N802 - so it is called
        """Begin or end an upload in parts."""
        self._read_target()
        if "uploads" in self.query:
            upload_id = secrets.token_hex(8)
            self.parts[upload_id] = {}
            self._answer(
                200,
                f"<InitiateMultipartUploadResult><Bucket>{self.bucket}</Bucket><Key>{escape(self.key)}</Key>"
                f"<UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>".encode(),
            )
        else:
            parts = self.parts.pop(self.query["uploadId"])
            self._store(b"".join(parts[number] for number in sorted(parts)), is_composed=True)

    def do_DELETE(self) -> None:  # noqa: N802 - so it is called
        """Delete an object, or give up an upload in parts."""
        self._read_target()
        if "uploadId" in self.query:
            self.parts.pop(self.query["uploadId"], None)
            self._answer(204)
            return
        try:
            self.storage.delete_file(self.bucket, self.key)
            self._answer(204)
        except NotFound:
            self._answer(404)

    def _read_target(self) -> bytes:
        parts = urlsplit(self.path)
        self.bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        self.key = key
        asked = parse_qs(parts.query, keep_blank_values=True)
        self.query = {name: values[0] for name, values in asked.items()}
        size = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(size)
        if len(body) < size:
            raise ConnectionError("half of a body is none")
        return body

    def _store(self, body: bytes, *, is_composed: bool) -> None:
        resource = objects._make_object_resource("", self.bucket, self.key, "text/plain", str(len(body)))
        made = objects._checksums(body, resource)
        md5 = base64.b64decode(made["md5Hash"]).hex()
        # Only of an object that came in one piece is the tag its MD5.
        made["etag"] = f"-{secrets.token_hex(6)}" if is_composed else md5
        with self.lock:
            if self.headers.get("x-goog-if-generation-match") == "0" and self._found() is not None:
                self._answer(412)
                return
            if self.bucket not in self.storage.buckets:
                self._answer(404)
                return
            self.storage.create_file(self.bucket, self.key, body, made)
        if is_composed:
            self._answer(
                200,
                f"<CompleteMultipartUploadResult><ETag>{made['etag']}</ETag></CompleteMultipartUploadResult>".encode(),
                self._headers(made),
            )
        else:
            self._answer(200, headers=self._headers(made))

    def _found(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.storage.get_file_obj(self.bucket, self.key)
        except NotFound:
            return None
        return found

    def _object(self, *, is_head: bool) -> None:
        found = self._found()
        if found is None:
            self._answer(404)
            return
        headers = self._headers(found)
        for name in ("disposition", "type"):
            if f"response-content-{name}" in self.query:
                headers[f"Content-{name.capitalize()}"] = self.query[f"response-content-{name}"]
        body = self.storage.get_file(self.bucket, self.key)
        asked = self.headers.get("range", "").removeprefix("bytes=")
        if not asked:
            self._answer(200, body, headers, is_head=is_head)
            return
        first, _, last = asked.partition("-")
        start, stop = int(first), min(int(last) + 1 if last else len(body), len(body))
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
        self._answer(206, body[start:stop], headers, is_head=is_head)

    def _list(self) -> None:
        if self.bucket not in self.storage.buckets:
            self._answer(404)
            return
        found, _ = self.storage.get_file_list(self.bucket, self.query.get("prefix") or None)
        shown = "".join(
            f"<Contents><Key>{escape(one['name'])}</Key><Size>{one['size']}</Size>"
            f"<LastModified>{one['updated']}</LastModified><ETag>{one['etag']}</ETag></Contents>"
            for one in found
        )
        self._answer(200, f"<ListBucketResult>{shown}</ListBucketResult>".encode())

    def _headers(self, made: dict[str, Any]) -> dict[str, str]:
        updated = datetime.fromisoformat(made["updated"])
        return {
            "ETag": f'"{made["etag"]}"',
            "x-goog-generation": made["generation"],
            "Last-Modified": format_datetime(updated, usegmt=True),
        }

    def _answer(
        self,
        status: int,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        is_head: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not is_head:
            self.wfile.write(body)
