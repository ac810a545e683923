"""A code server tells what it loaded as often as it is asked, and makes that once."""

from __future__ import annotations

import gc
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.__generated__.dagster_api_pb2 import ExternalRepositoryRequest
from dagster._grpc.server import DagsterApiServer
from dagster._serdes import deserialize_value, serialize_value

from reportgen_dagster.defs.code_server import building
from tests.definitions.conftest import Ann

_NAME = "__repository__"


def _server() -> DagsterApiServer:
    return DagsterApiServer(
        server_termination_event=threading.Event(),
        logger=logging.getLogger("test"),
        server_threadpool_executor=ThreadPoolExecutor(1),
        loadable_target_origin=LoadableTargetOrigin(module_name="reportgen_dagster.definitions"),
    )


def _question(*, whole: bool) -> ExternalRepositoryRequest:
    origin = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="reports")
    return ExternalRepositoryRequest(
        serialized_repository_python_origin=serialize_value(RemoteRepositoryOrigin(origin, _NAME)),
        defer_snapshots=not whole,
    )


def test_all_who_ask_at_once_get_what_is_made_once(ann: Ann, monkeypatch: pytest.MonkeyPatch) -> None:
    ann.schedule()
    server = _server()
    made: list[str] = []
    make = RepositorySnap.from_def
    monkeypatch.setattr(RepositorySnap, "from_def", lambda *a, **k: made.append("one") or make(*a, **k))
    with ThreadPoolExecutor(3) as askers:
        answers = set(
            askers.map(
                lambda _: (
                    server.ExternalRepository(
                        _question(whole=False), None
                    ).serialized_external_repository_data
                ),
                range(6),
            )
        )
    assert len(answers) == 1
    assert made == ["one"]
    told = deserialize_value(answers.pop(), RepositorySnap)
    assert told.name == _NAME
    assert not told.has_job_data()
    assert gc.isenabled()


@pytest.mark.usefixtures("ann")
def test_another_question_has_its_own_answer() -> None:
    server = _server()
    told = server.ExternalRepository(_question(whole=True), None).serialized_external_repository_data
    assert deserialize_value(told, RepositorySnap).has_job_data()


def test_garbage_is_looked_for_again_although_building_failed() -> None:
    with pytest.raises(ZeroDivisionError), building():
        print(1 // gc.isenabled())
    assert gc.isenabled()
