"""Calls over HTTP: who calls, what is tried again and when not, and errors.

What belongs here: what all calls have in common. What does not: what a call is about (client.py and what it imports).

**Tried again**, until the client's patience ends: 503 and 429, after their Retry-After; a connection that was refused, since
nothing was sent; one that broke, if the call changes nothing or may come twice (GET, HEAD, PUT, DELETE). A POST that makes
something carries an `Idempotency-Key`; where its connection broke, it is sent again only to a service whose API document says
that the call takes the key, since any other would make the thing twice.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx2

from reportgen_client.errors import ServiceUnreachableError, error_of, retry_seconds
from reportgen_client.sources import SharedProgress, Source
from reportgen_client.tokens import Tokens, TokenStore

KEY_HEADER = "Idempotency-Key"
_REPEATABLE = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_CONNECT_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as it may be sent several times.

    Attributes:
        method: The HTTP method.
        path: The path below the service's address.
        params: The query; None values are left out.
        headers: Headers beside those that every call has.
        json: The body as JSON, if it has such.
        content: The body as bytes, if it has such.
        fields: Short texts of a multipart body.
        files: Files of a multipart body.
        progress: Is told how much of the files has been sent.
        is_open: Whether it goes without a token.
        is_repeated: Whether it is tried again.
        is_harmless: Whether it may come twice although its method says otherwise.
        silence_seconds: How long the service may be silent; None: as long as in all calls.
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Source] = field(default_factory=dict)
    progress: SharedProgress | None = None
    is_open: bool = False
    is_repeated: bool = True
    is_harmless: bool = False
    silence_seconds: float | None = None

    def making(self, key: str | None = None) -> Call:
        """Return the call with an Idempotency-Key, so that it makes its thing once however often it is sent.

        Args:
            key: The key; default: a new one.
        """
        return replace(self, headers={**self.headers, KEY_HEADER: key or uuid4().hex})

    @property
    def key(self) -> str:
        """The Idempotency-Key; empty if there is none."""
        return self.headers.get(KEY_HEADER, "")


class Connection:
    """The way to one service, for one account. Threads may share it."""

    def __init__(
        self, url: str, store: TokenStore, *, timeout_seconds: float, patience_seconds: float
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: Address of the service, without `/api`.
            store: The account's tokens.
            timeout_seconds: How long the service may be silent within one try.
            patience_seconds: How long a call is tried again.
        """
        self.url = url.rstrip("/")
        self.store = store
        self._patience_seconds = patience_seconds
        self._timeout_seconds = timeout_seconds
        # Loading certificates takes a tenth of a second, which an address without TLS does without.
        self._http = httpx2.Client(verify=self.url.startswith("https:"))
        self._document: dict[str, Any] | None = None

    def close(self) -> None:
        """Close what is open."""
        self._http.close()

    def send(self, call: Call) -> httpx2.Response:
        """Send a call, again if need be, and return the answer with its body.

        Raises:
            ReportgenApiError: If the answer is an error.
            ServiceUnreachableError: If there is none.
        """
        answer = self._answer(call, is_whole=True)
        if not answer.is_success:
            raise error_of(answer)
        return answer

    def ask(self, call: Call) -> Any:
        """Send a call, again if need be, and return the JSON that it is answered with.

        Raises:
            ReportgenApiError: If the answer is an error.
            ServiceUnreachableError: If there is none, or none of this service.
        """
        return json_of(self.send(call))

    @contextmanager
    def stream(self, call: Call) -> Iterator[httpx2.Response]:
        """Send a call, again if need be, and lend the answer while its body is still to be read.

        Raises:
            ReportgenApiError: If the answer is an error.
            ServiceUnreachableError: If there is none.
        """
        answer = self._answer(call, is_whole=False)
        try:
            if not answer.is_success:
                answer.read()
                raise error_of(answer)
            yield answer
        except httpx2.TransportError as error:
            raise ServiceUnreachableError(f"{self.url} broke off: {_words(error)}") from error
        finally:
            answer.close()

    def items(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page after page; the next page is asked for when it is needed."""
        call = Call("GET", path, params=params or {})
        while True:
            page = self.ask(call)
            yield from page["items"]
            if not page.get("next"):
                return
            call = Call("GET", page["next"])

    def _answer(self, call: Call, *, is_whole: bool) -> httpx2.Response:
        deadline = time.monotonic() + (self._patience_seconds if call.is_repeated else 0)
        pause = _FIRST_PAUSE_SECONDS
        was_cut = False
        while True:
            try:
                answer = self._once(call)
                if is_whole:
                    answer.read()
            except httpx2.TransportError as error:
                was_sent = not isinstance(error, _NOTHING_SENT)
                is_late = time.monotonic() + pause > deadline
                if is_late or (was_sent and not self._may_come_twice(call)):
                    raise ServiceUnreachableError(f"{self.url} does not answer: {_words(error)}") from error
                was_cut = was_cut or was_sent
                wait = pause
            else:
                # Of a repetition 409 may mean that the first one, whose answer was lost, is still being carried out.
                is_underway = was_cut and call.key and answer.status_code == HTTPStatus.CONFLICT
                wait = max(pause, retry_seconds(answer) or 0)
                is_late = time.monotonic() + wait > deadline
                if is_late or not (is_underway or answer.status_code in _BUSY):
                    return answer
                answer.close()
            time.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS) * random.uniform(0.75, 1)  # noqa: S311 - no secret

    def _once(self, call: Call) -> httpx2.Response:
        """Send a call, with new tokens if the old ones are used up."""
        tokens = None if call.is_open else self.store.read()
        if tokens and tokens.renew_at is not None and tokens.renew_at <= time.time():
            tokens = self.renew(tokens)
        answer = self._try(call, tokens)
        if answer.status_code == HTTPStatus.UNAUTHORIZED and tokens and tokens.refresh:
            answer.close()
            answer = self._try(call, self.renew(tokens))
        return answer

    def _try(self, call: Call, tokens: Tokens | None) -> httpx2.Response:
        headers = {**call.headers, **({"Authorization": f"Bearer {tokens.access}"} if tokens else {})}
        progress = call.progress or SharedProgress(call.files, None)
        with ExitStack() as stack:
            # A part without a file's name is a short text; with any of the two the body is multipart.
            parts: dict[str, Any] = {name: (None, text.encode()) for name, text in call.fields.items()}
            for name, source in call.files.items():
                parts[name] = (source.name, stack.enter_context(source.open(progress.of(name))))
            request = self._http.build_request(
                call.method,
                f"{self.url}{call.path}",
                params={name: value for name, value in call.params.items() if value is not None} or None,
                headers=headers,
                json=call.json,
                content=call.content,
                files=parts or None,
                timeout=self._timeout(call),
            )
            return self._http.send(request, stream=True)

    def _timeout(self, call: Call) -> httpx2.Timeout:
        silence = self._timeout_seconds if call.silence_seconds is None else call.silence_seconds
        return httpx2.Timeout(silence, connect=min(silence, _CONNECT_SECONDS))

    def renew(self, used: Tokens) -> Tokens:
        """Return new tokens for those that are used up. One at a time; who waited takes what the other one got.

        Raises:
            ReportgenApiError: If the session is over.
            ServiceUnreachableError: If the service does not answer.
        """
        with self.store.exclusive():
            now = self.store.read()
            if now is None or now.access != used.access:
                return now or used
            pair = self.ask(Call("POST", "/api/auth/refresh/", json={"refresh": used.refresh}, is_open=True))
            fresh = Tokens.of_pair(pair["access"], pair["refresh"])
            self.store.write(fresh)
            return fresh

    def _may_come_twice(self, call: Call) -> bool:
        is_harmless = call.is_harmless or call.method in _REPEATABLE
        return is_harmless or (bool(call.key) and self._takes_key(call))

    def _takes_key(self, call: Call) -> bool:
        """Tell whether the service makes a thing once although the call comes twice, by its API document."""
        if self._document is None:
            self._document = self.ask(Call("GET", "/openapi.json", is_open=True))
        for template, operations in self._document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), call.path.rstrip("/")):
                parameters = operations.get(call.method.lower(), {}).get("parameters", ())
                return any(
                    parameter.get("name", "").lower() == KEY_HEADER.lower() for parameter in parameters
                )
        return False


def json_of(answer: httpx2.Response) -> Any:
    """Return the JSON of an answer.

    Raises:
        ServiceUnreachableError: If it has none, so that something else answered than this service.
    """
    try:
        return answer.json()
    except ValueError:
        raise ServiceUnreachableError(f"{answer.url} answers, but not as this service does.") from None


def _words(error: httpx2.TransportError) -> str:
    return str(error) or type(error).__name__
