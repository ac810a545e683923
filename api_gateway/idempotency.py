"""The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07): what a key looks like, and answers told again.

A call takes it in two lines: `once = await idempotency.once(caller, body, show)`, and `once=once` for the use case. What a
repetition is and what follows from it is services/idempotency.py's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from api_gateway.dependencies import ContextDep
from api_gateway.documentation import problems
from api_gateway.multipart import Form
from reportgen_dagster.errors import BadRequestError, Problem
from reportgen_dagster.identity import digest_text
from reportgen_dagster.services import idempotency
from reportgen_dagster.services.accounts import Caller
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.idempotency import Once, RepeatedRequest

NAME = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_CHARACTERS = 255
# What a call that takes the header can answer because of it.
PROBLEMS = problems(
    409, 422, status_409="A request with the same Idempotency-Key is just being carried out; send it again."
)
_PLAIN = re.compile(r"[\x20-\x7e]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')  # a string of RFC 9651, as the draft has it
_DESCRIPTION = (
    "The caller's name for this request, such as a UUID. Sent again with the same key within 24 hours, the request is not carried"
    f" out again: the first answer comes, with `{REPLAYED}: true`. Requests that failed may be tried again with their key."
)

Body = Form | BaseModel | Mapping[str, Any] | None


class Idempotency:
    """The Idempotency-Key of one request, if it has one."""

    def __init__(self, request: Request, context: Context, key: str | None) -> None:
        """Prepare to look for the key of a request."""
        self._request = request
        self._context = context
        self._key = key

    async def once(
        self,
        caller: Caller,
        body: Body,
        show: Callable[[Any], BaseModel | None],
        headers: Callable[[Any], Mapping[str, str]] = lambda _made: {},
        status: Callable[[Any], int] | None = None,
    ) -> Once | None:
        """Return what the use case is to note in its transaction; None for a request without a key.

        Args:
            caller: Who asks.
            body: What was sent; of files their digests count.
            show: Returns the body of the answer, given what the use case made. What is secret does not belong into it.
            headers: Returns further headers of the answer, given the same.
            status: Returns the answer's status, given the same; default: the call's.

        Raises:
            RepeatedRequest: If it was carried out before.
            KeyReusedError: If another request was, under the same key.
        """
        if self._key is None:
            return None
        scope = self._request.scope
        asked = {
            "path": scope["path"],
            "query": sorted(self._request.query_params.multi_items()),
            "body": _canonical(body),
        }
        usual = scope["route"].status_code or 200

        def answer(made: Any) -> str:
            shown = show(made)
            text = shown.model_dump_json() if shown is not None else ""
            given = status(made) if status else usual
            return json.dumps({"status": given, "headers": dict(headers(made)), "body": text})

        once = Once(
            owner_id=caller.user_id,
            call=scope["route"].name,
            key=self._key,
            digest=digest_text(json.dumps(asked, sort_keys=True)),
            answer=answer,
        )
        await run_in_threadpool(idempotency.refuse_repetition, self._context, once)
        return once


def _idempotency(
    request: Request,
    context: ContextDep,
    key: Annotated[str | None, Header(alias=NAME, description=_DESCRIPTION)] = None,
) -> Idempotency:
    return Idempotency(request, context, _checked(key))


IdempotencyDep = Annotated[Idempotency, Depends(_idempotency)]


def install_idempotency(app: FastAPI) -> None:
    """Answer requests that were carried out before as they were answered then."""
    app.exception_handler(RepeatedRequest)(_on_repetition)


async def _on_repetition(_: Request, repeated: RepeatedRequest) -> Response:
    answer = json.loads(repeated.answer)
    return Response(
        answer["body"],
        status_code=answer["status"],
        headers={**answer["headers"], REPLAYED: "true"},
        media_type="application/json" if answer["body"] else None,
    )


def _checked(key: str | None) -> str | None:
    """Return a key without the quotation marks that it may have.

    Raises:
        BadRequestError: If it is empty, too long or not of printable ASCII characters.
    """
    if key is None:
        return None
    quoted = _QUOTED.fullmatch(key)
    plain = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else key
    if not _PLAIN.fullmatch(plain) or len(plain) > MAX_CHARACTERS or (plain.startswith('"') and not quoted):
        words = f"has 1 to {MAX_CHARACTERS} printable ASCII characters, perhaps in quotation marks"
        raise BadRequestError(problems=[Problem(words, path=NAME)])
    return plain


def _canonical(body: Body) -> Any:
    if isinstance(body, Form):
        return {
            "files": {name: upload.stored.digest for name, upload in body.files.items()},
            "fields": body.fields,
            "objects": body.objects,
            "rules": [body.rules.syntax, body.rules.text] if body.rules else None,
        }
    return body.model_dump(mode="json") if isinstance(body, BaseModel) else body
