"""A code server reads the catalog anew within its process, and tells what it loaded once for all who ask."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.remote_representation.external_data import RepositoryErrorSnap, RepositorySnap
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.__generated__.dagster_api_pb2 import ExternalRepositoryRequest, ReloadCodeRequest
from dagster._grpc.server import DagsterApiServer
from dagster._serdes import deserialize_value, serialize_value

from reportgen_dagster.defs import code_server
from reportgen_dagster.defs.keys import report_key
from reportgen_dagster.services import reports
from tests.definitions.conftest import Ann

_NAME = "__repository__"


@pytest.fixture
def server(ann: Ann, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterApiServer]:
    """A code server in this process, with a report of Ann's."""
    for name in ("ReloadCode", "_get_serialized_external_repository_data"):
        monkeypatch.setattr(DagsterApiServer, name, getattr(DagsterApiServer, name))  # as it was, afterwards
    monkeypatch.delitem(sys.modules, code_server.MODULE, raising=False)  # as in a new process
    ann.schedule()
    code_server.equip()
    ends = threading.Event()
    yield DagsterApiServer(
        server_termination_event=ends,
        logger=logging.getLogger("test"),
        server_threadpool_executor=ThreadPoolExecutor(1),
        loadable_target_origin=LoadableTargetOrigin(module_name=code_server.MODULE),
        lazy_load_user_code=True,
    )
    ends.set()


def _question(*, whole: bool) -> ExternalRepositoryRequest:
    origin = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="reports")
    return ExternalRepositoryRequest(
        serialized_repository_python_origin=serialize_value(RemoteRepositoryOrigin(origin, _NAME)),
        defer_snapshots=not whole,
    )


def _ask(server: DagsterApiServer, *, whole: bool = False) -> str:
    answer = server.ExternalRepository(_question(whole=whole), None)
    return str(answer.serialized_external_repository_data)


def _shown(server: DagsterApiServer) -> set[tuple[str, ...]]:
    told = deserialize_value(_ask(server), RepositorySnap)
    return {tuple(node.asset_key.path) for node in told.asset_nodes}


def test_all_who_ask_at_once_get_what_is_made_once(
    server: DagsterApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = RepositorySnap.from_def

    def make_and_count(*given: object, **named: object) -> RepositorySnap:
        made.append("one")
        return make(*given, **named)

    monkeypatch.setattr(RepositorySnap, "from_def", make_and_count)
    with ThreadPoolExecutor(3) as askers:
        answers = set(askers.map(lambda _: _ask(server), range(6)))
    assert len(answers) == 1
    assert made == ["one"]
    told = deserialize_value(answers.pop(), RepositorySnap)
    assert told.name == _NAME
    assert not told.has_job_data()
    assert deserialize_value(_ask(server, whole=True), RepositorySnap).has_job_data()
    assert gc.isenabled()


def test_a_reload_shows_what_the_catalog_has_by_now(ann: Ann, server: DagsterApiServer) -> None:
    trades, more = (tuple(report_key(ann.id, name).path) for name in ("trades", "more"))
    assert trades in _shown(server)
    ann.schedule("more")
    reports.delete_report(ann.context, ann.id, "trades")
    before = server._server_id
    assert more not in _shown(server)
    server.ReloadCode(ReloadCodeRequest(), None)
    assert more in _shown(server)
    assert trades not in _shown(server)
    assert server._server_id != before  # by which webserver and daemon see that they must ask again


def test_a_reload_that_fails_is_told_and_healed_by_the_next(
    ann: Ann, server: DagsterApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tuple(report_key(ann.id, "trades").path)
    with monkeypatch.context() as away:
        away.setenv("REPORTGEN_SHARDS", "none")
        server.ReloadCode(ReloadCodeRequest(), None)
    told = server.ListRepositories(None, None).serialized_list_repositories_response_or_error
    assert "shards" in told
    assert isinstance(deserialize_value(_ask(server), RepositoryErrorSnap), RepositoryErrorSnap)
    server.ReloadCode(ReloadCodeRequest(), None)
    assert key in _shown(server)
