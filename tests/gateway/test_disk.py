"""What `/readyz` tells of a disk that failed to keep what it had taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from api_gateway.dagster_client import DagsterClient
from api_gateway.health.readiness import Readiness
from reportgen_dagster.storage.disk import SUSPECT
from tests.gateway.conftest import INPUT, Server, User, assert_problem


def _look(server: Server) -> tuple[str, list[str]]:
    """Return what of the storage is not ready, and what is warned of, as nobody asked a moment ago."""

    async def look() -> tuple[dict[str, str], list[str]]:
        client = DagsterClient(server.settings.dagster_graphql_url)
        try:
            return await Readiness(server.context, client).look()
        finally:
            await client.close()

    failures, warnings = asyncio.run(look())
    return failures.get("storage", ""), [one for one in warnings if one.startswith("storage: ")]


def test_a_disk_that_failed_is_told_until_somebody_looked_at_it(
    server: Server, ann: User, break_disk: Callable[..., None]
) -> None:
    before = server.files()
    break_disk("fsync", times=2)
    answer = ann.http.post("/api/upload-files/", files={"input": ("i.csv", INPUT + b"k9,9\n")})
    assert_problem(answer, 500, "storage")
    assert server.files() - before == {server.settings.storage_path / SUSPECT}
    failure, _ = _look(server)
    assert "does not work" in failure, "it still fails"
    failure, (warning,) = _look(server)
    assert failure == "", "it keeps files again"
    assert "reportgen fsck" in warning
    assert str(server.settings.home) not in warning
    (server.settings.storage_path / SUSPECT).unlink()
    assert _look(server) == ("", [])
