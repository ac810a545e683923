"""A client that others' tools make of the OpenAPI document works."""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.gateway.conftest import Server, User

GENERATOR = Path(sys.executable).parent / "openapi-generator-cli"


@pytest.fixture(scope="module")
def client_package(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp("generated")
    document = folder / "openapi.json"
    document.write_text(json.dumps(server.app.openapi()))
    subprocess.run(
        [
            *(GENERATOR, "generate", "-g", "python", "-i", document, "-o", folder / "client"),
            *("--package-name", "generated_client", "--global-property", "apiTests=false,modelTests=false"),
        ],
        check=True,
        capture_output=True,
    )
    sys.path.insert(0, str(folder / "client"))
    try:
        yield __import__("generated_client")
    finally:
        sys.path.remove(str(folder / "client"))


def test_all_of_it_compiles(client_package: ModuleType) -> None:
    assert compileall.compile_dir(Path(client_package.__file__ or "").parent, quiet=1)


def test_its_calls_work(client_package: ModuleType, server: Server, ann: User) -> None:
    ann.upload()
    configuration = client_package.Configuration(host=server.url, access_token=ann.session["access"])
    with client_package.ApiClient(configuration) as api:
        accepted = client_package.ReportsApi(api).generate_report()
        status = client_package.ReportsApi(api).show_task_status(accepted.task_id)
        page = client_package.RunsApi(api).list_runs()
        functions = client_package.LanguageApi(api).list_functions()
    assert (status.task_id, status.status) == (accepted.task_id, "accepted")
    assert [run.task_id for run in page.items] == [accepted.task_id]
    assert any(function.name == "round" for function in functions.items)
    with client_package.ApiClient(configuration) as api, pytest.raises(client_package.ApiException) as raised:
        client_package.RunsApi(api).cancel_run("0" * 32)
    assert raised.value.status == 404
    assert json.loads(raised.value.body)["code"] == "not-found"
