"""What a code server with thousands of definitions does once: look for garbage, and tell what it loaded.

Three processes ask for all definitions after each reload: the webserver for the reload itself and for its own watch on the code
server, and the daemon. Dagster makes the answer anew for each. Yet the definitions of a code server never change, as a reload
begins a new one.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from dagster._grpc.__generated__.dagster_api_pb2 import ExternalRepositoryRequest
from dagster._grpc.server import DagsterApiServer

_Tell = Callable[[DagsterApiServer, ExternalRepositoryRequest], str]


@contextmanager
def building() -> Iterator[None]:
    """Look for no garbage while much is made that stays: each look would go through all of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def tell_once() -> None:
    """Have the code server of this process keep its answers."""
    # There is no other place to stand in: Dagster builds the server itself, around the module that it loads.
    told = DagsterApiServer._get_serialized_external_repository_data
    DagsterApiServer._get_serialized_external_repository_data = _kept(told)  # type: ignore[method-assign, assignment]


def _kept(tell: _Tell) -> _Tell:
    answers: dict[bytes, str] = {}
    lock = Lock()

    def tell_kept(server: DagsterApiServer, request: ExternalRepositoryRequest) -> str:
        question = request.SerializeToString(deterministic=True)
        with lock:
            if question not in answers:
                with building():
                    answers[question] = tell(server, request)
            return answers[question]

    return tell_kept
