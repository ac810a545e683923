"""Dagster's code server, which reads the catalog anew in its own process when it is asked to reload.

    python -m reportgen_dagster.defs.code_server --location-name reports -p 4266

`dagster code-server start` begins a new process for that, as the code may have changed; with us only the catalog has. And
Dagster makes its definitions into an answer for each who asks (the webserver twice, the daemon); here that is done once for each
load. The arguments are those of `dagster api grpc`. What belongs here: that. What does not: what is defined (definitions.py).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Lock
from uuid import uuid4

from dagster._cli.api import grpc_command
from dagster._grpc.__generated__.dagster_api_pb2 import (
    ExternalRepositoryRequest,
    ReloadCodeReply,
    ReloadCodeRequest,
)
from dagster._grpc.server import DagsterApiServer, LoadedRepositories
from dagster._utils.error import serializable_error_info_from_exc_info

MODULE = "reportgen_dagster.definitions"
_Tell = Callable[[DagsterApiServer, ExternalRepositoryRequest], str]


def main(words: Sequence[str]) -> None:
    """Serve until it is told to end.

    Args:
        words: Arguments of `dagster api grpc`.
    """
    equip()
    with _building(), suppress(Exception):  # it is imported once more where a failure is told
        import_module(MODULE)
    grpc_command.main(["-m", MODULE, "--lazy-load-user-code", *words], prog_name="code_server")


def equip() -> None:
    """Have Dagster's server reload within its process, and make its answers once."""
    # There is no other place to stand in: Dagster builds the server itself.
    DagsterApiServer.ReloadCode = _reload  # type: ignore[method-assign, assignment]
    told = DagsterApiServer._get_serialized_external_repository_data
    DagsterApiServer._get_serialized_external_repository_data = _kept(told)  # type: ignore[method-assign, assignment]


def _reload(server: DagsterApiServer, _request: ReloadCodeRequest, _context: object) -> ReloadCodeReply:
    """Load the definitions anew; until that is done, what was loaded before is served."""
    with server._reload_lock:
        gc.collect()  # what the reload before this one replaced, which is large
        sys.modules.pop(MODULE, None)
        try:
            with _building():
                loaded = LoadedRepositories(
                    server._loadable_target_origin,
                    container_image=None,
                    entry_point=server._entry_point,
                    container_context=None,
                )
            server._loaded_repositories, server._serializable_load_error = loaded, None
        except Exception:
            server._logger.exception("Error while reading the catalog")
            server._loaded_repositories = None
            server._serializable_load_error = serializable_error_info_from_exc_info(sys.exc_info())
        server._server_id = str(uuid4())
    return ReloadCodeReply()


def _kept(tell: _Tell) -> _Tell:
    """Keep the answers for as long as the definitions that they tell."""
    answers: dict[bytes, str] = {}
    of: list[LoadedRepositories | None] = [None]
    lock = Lock()

    def tell_kept(server: DagsterApiServer, request: ExternalRepositoryRequest) -> str:
        question = request.SerializeToString(deterministic=True)
        with lock:
            if server._loaded_repositories is not of[0]:
                of[0] = server._loaded_repositories
                answers.clear()
            if question not in answers:
                with _building():
                    answers[question] = tell(server, request)
            return answers[question]

    return tell_kept


@contextmanager
def _building() -> Iterator[None]:
    """Look for no garbage while much is made that stays: each look would go through all of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


if __name__ == "__main__":
    main(sys.argv[1:])
