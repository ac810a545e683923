"""Use case: links to a run's files that need no access token, for a few minutes: the storage's own, else ours.

What belongs here: who gets a link, for how long, and what ours means. What does not: serving the bytes. Ours is a JWT of a
kind and key of its own: it opens one file of one run with certain bytes, as long as the session or API token that asked for it
lives. What a storage presigned cannot be called back: it only runs out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from reportgen_dagster.catalog import accounts as catalog
from reportgen_dagster.catalog import api_tokens
from reportgen_dagster.errors import BadRequestError, NotFoundError
from reportgen_dagster.identity import new_id, utc_now
from reportgen_dagster.services import runs
from reportgen_dagster.services.accounts import Caller
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.keys import signing_key, valid_keys
from reportgen_dagster.services.runs import FileView
from reportgen_dagster.services.tokens import TokenKind

LIFETIME = timedelta(minutes=5)
PATH = "/api/v1/downloads/"
REJECTS = "rejects"

_DOWNLOAD = TokenKind(
    "dl+jwt", "reportgen-downloads", ("sub", "sid", "jti", "iat", "exp", "run", "file", "digest")
)
_PURPOSE = "download link"


@dataclass(frozen=True, slots=True)
class Link:
    """An address at which a file is served to whoever has it.

    Attributes:
        url: The address; a path where PUBLIC_URL is not set.
        expires_at: Until when, aware.
    """

    url: str
    expires_at: datetime


def link_to_report(
    context: Context,
    caller: Caller,
    run_id: str,
    format: str | None = None,  # noqa: A002 - the HTTP parameter's name
) -> Link:
    """Return a link to the report of a run of the caller's.

    Args:
        context: The installation.
        caller: Who asks.
        run_id: Which run.
        format: Which of its files; None: CSV if there is one, else the main one.

    Raises:
        BadRequestError: If there is no such format.
        NotFoundError: If the caller has no such run, or its files were old and are gone.
        ConflictError: If the run has no report.
        ServiceError: If the file is lost in storage, or the storage is away.
    """
    file = runs.report_file(context, caller.user_id, run_id, format)
    return _link(context, caller, run_id, file.format, file)


def link_to_rejects(context: Context, caller: Caller, run_id: str) -> Link:
    """Return a link to the rows that a run of the caller's diverted.

    Raises:
        NotFoundError: If the caller has no such run, it has no rejects, or its files were old and are gone.
        ServiceError: If the file is lost in storage, or the storage is away.
    """
    return _link(context, caller, run_id, REJECTS, runs.rejects_file(context, caller.user_id, run_id))


def linked_file(context: Context, token: str) -> FileView:
    """Return the file that a link of ours opens.

    Raises:
        NotFoundError: If it opens nothing: forged, run out, its session over, its file gone; all told alike.
        ServiceError: If the file is lost in storage, or the storage is away.
    """
    try:
        claims = _DOWNLOAD.read(token, valid_keys(context.settings, _PURPOSE))
    except jwt.InvalidTokenError:
        raise _opens_nothing() from None
    with context.catalog.reading() as session:
        user = catalog.user_of_session(session, claims["sid"]) or api_tokens.user_of(session, claims["sid"])
        if user is None or user.id != claims["sub"]:
            raise _opens_nothing()
        user_id = user.id
    try:
        file = _file(context, user_id, claims["run"], claims["file"])
    except BadRequestError:
        raise _opens_nothing() from None
    if file.digest != claims["digest"]:
        raise _opens_nothing()
    return file


def _file(context: Context, user_id: str, run_id: str, name: str) -> FileView:
    if name == REJECTS:
        return runs.rejects_file(context, user_id, run_id)
    return runs.report_file(context, user_id, run_id, name)


def _link(context: Context, caller: Caller, run_id: str, name: str, file: FileView) -> Link:
    expires_at = (utc_now() + LIFETIME).replace(microsecond=0)
    presigned = context.store.signed_url(
        file.digest,
        LIFETIME,
        disposition=f'attachment; filename="{file.filename}"',
        media_type=file.media_type,
    )
    if presigned is not None:
        return Link(presigned, expires_at)
    claims = {
        "sub": caller.user_id,
        "sid": caller.session_id or caller.token_id,
        "jti": new_id(),
        "iat": utc_now(),
        "exp": expires_at,
        "run": run_id,
        "file": name,
        "digest": file.digest,
    }
    token = _DOWNLOAD.sign(claims, signing_key(context.settings, _PURPOSE))
    return Link(f"{context.settings.public_url.rstrip('/')}{PATH}{token}", expires_at)


def _opens_nothing() -> NotFoundError:
    return NotFoundError("This link opens nothing, or not any more.", hint="Ask for a new one.")
