"""What the commands that ask a service over its API share: which service, as whom, and errors as those of all commands.

What belongs here: opening the client, options of several commands. What does not: how runs are shown (`runs.py`), where
tokens are kept (`credentials.py`), and anything heavy at import.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reportgen_dagster.environment import service_variables
from reportgen_dagster.errors import (
    AuthenticationError,
    BadRequestError,
    DamagedFileError,
    ReportgenError,
    ServiceError,
    UnavailableError,
    error_classes,
    error_from_json,
)

if TYPE_CHECKING:
    from reportgen_client import Client, ReportgenApiError
    from reportgen_dagster.cli.credentials import SignedIn

PATIENCE_SECONDS = 30.0  # a service that is restarted is back by then
SIGN_IN = "Sign in with `reportgen login`, or set REPORTGEN_URL and REPORTGEN_TOKEN."

ContextOption = Annotated[
    str | None,
    typer.Option("--context", help="Under which name you signed in; `default` if left out.", metavar="NAME"),
]
ListOutput = Literal["table", "json"]
ListOutputOption = Annotated[
    ListOutput, typer.Option("--output", help="How the list is printed; json is --json.")
]


@contextmanager
def asking(context: str | None) -> Iterator[Client]:
    """Open the client of a context; without one that of REPORTGEN_URL and REPORTGEN_TOKEN, if these are set, else of `default`.

    Raises:
        AuthenticationError: If nobody signed in, or the session is over.
        ReportgenError: What the service refuses, or that it does not answer.
    """
    from reportgen_client import Client

    url, token = service_variables()
    with told():
        if context is None and token is not None:
            if url is None:
                raise BadRequestError("REPORTGEN_TOKEN is set, but REPORTGEN_URL is not", hint=SIGN_IN)
            opened = Client(url, token=token, patience=PATIENCE_SECONDS)
        else:
            from reportgen_dagster.cli.credentials import ContextTokens, Credentials

            credentials = Credentials()
            name, kept = _chosen(credentials.read(), context, url)
            opened = Client(kept.url, tokens=ContextTokens(credentials, name), patience=PATIENCE_SECONDS)
        with opened:
            yield opened


def _chosen(contexts: dict[str, SignedIn], name: str | None, url: str | None) -> tuple[str, SignedIn]:
    from reportgen_dagster.cli.credentials import DEFAULT_CONTEXT

    wanted = name or DEFAULT_CONTEXT
    if name is None and url is not None:
        names = [one for one, kept in contexts.items() if kept.url == url.rstrip("/")]
        if not names:
            raise AuthenticationError(f"You are not signed in to {url}.", hint=SIGN_IN)
        wanted = DEFAULT_CONTEXT if DEFAULT_CONTEXT in names else names[0]
    if wanted not in contexts:
        known = f" Signed in under: {', '.join(sorted(contexts))}." if contexts else ""
        raise AuthenticationError(f"You are not signed in under the name {wanted}.{known}", hint=SIGN_IN)
    return wanted, contexts[wanted]


@contextmanager
def told() -> Iterator[None]:
    """Tell errors of the client as those of all commands."""
    from reportgen_client import DownloadError, ReportgenApiError, ServiceUnreachableError

    try:
        yield
    except ReportgenApiError as error:
        raise error_of(error) from None
    except ServiceUnreachableError as error:
        raise UnavailableError(str(error), hint="Is the address right, and the service up?") from None
    except DownloadError as error:
        raise DamagedFileError(str(error)) from None


def error_of(error: ReportgenApiError) -> ReportgenError:
    """Return the error of our own tree that the service meant."""
    if error.status == 401:
        return AuthenticationError(error.detail, hint=SIGN_IN)
    if any(known.code == error.code for known in error_classes()):
        problems = [dict(problem) for problem in error.errors]
        members = {"code": error.code, "detail": error.detail, "hint": error.hint, "problems": problems}
        return error_from_json(members)
    kind = ServiceError if error.status >= 500 else BadRequestError
    return kind(error.detail, hint=error.hint)


@contextmanager
def byte_progress(label: str, *, as_json: bool) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how many bytes of files have travelled."""
    from reportgen_dagster.cli.output import progress_bar

    with progress_bar(label, shown=is_watched(as_json=as_json)) as progress:
        yield lambda done, total: progress(done / total if total else 0)


def is_watched(*, as_json: bool) -> bool:
    """Tell whether a person looks at standard error."""
    return sys.stderr.isatty() and not as_json
