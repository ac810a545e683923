"""What N named reports with a schedule each cost: `python -m tests.bench.definitions 10 100 1000 3000 [--shards 2]`.

Starts a service of its own on free ports and in a temporary home, fills its catalog with reports step by step, and measures at
each step: building the definitions, reloading them, when a change is seen, list calls, the asset list of the UI, memory, and how
long it takes until 200 schedules that are due in the same minute have their runs accepted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from reportgen_dagster.catalog import definitions as catalog
from reportgen_dagster.defs.keys import report_key
from reportgen_dagster.identity import locations
from reportgen_dagster.services import definitions
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.home import Home
from reportgen_dagster.supervisor.processes import marked
from tests.e2e.client import EXAMPLE, Client, until
from tests.stack import Stack

DUE_AT_ONCE = 200
CALLS = 40
RELOADS = 3
BUILD = """
import time
start = time.perf_counter()
import reportgen_dagster.defs.assets, reportgen_dagster.defs.schedules, reportgen_dagster.defs.sensors
imported = time.perf_counter()
import reportgen_dagster.definitions as module
module.defs.get_repository_def()
built = time.perf_counter()
print(imported - start, built - imported)
"""
# What the asset list page of the UI asks for, without the fields of other products.
ASSETS = """
query { assetNodes { id assetKey { path } groupName owners { ... on UserAssetOwner { email } } kinds description
  isMaterializable isExecutable computeKind hasAssetChecks tags { key value }
  repository { id name location { id name } } dependencyKeys { path } jobNames } }
"""
SHOWN = "query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { __typename } }"
RELOAD = """mutation ($location: String!) { reloadRepositoryLocation(repositoryLocationName: $location) {
  ... on WorkspaceLocationEntry { locationOrLoadError { __typename } } } }"""

NUMBERS = "generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"
# One report of the service is copied: its ruleset with its text, its dataset, and a schedule that is never due by itself.
# Dagster was told of its versions: profiling thousands of files would take the cores from what is measured.
COPIES = (
    """INSERT INTO rulesets (id, owner_id, name)
       SELECT md5('ruleset' || n), :owner, 'ruleset ' || n FROM NUMBERS""",
    """INSERT INTO ruleset_versions (id, ruleset_id, number, digest, text, syntax, filename, summary, reported_at)
       SELECT md5('version' || n), md5('ruleset' || n), 1, encode(sha256(n::text::bytea), 'hex'), text, syntax, filename, summary,
         now()
       FROM NUMBERS, (SELECT * FROM ruleset_versions LIMIT 1) AS given""",
    """INSERT INTO datasets (id, owner_id, name)
       SELECT md5('dataset' || n), :owner, 'dataset ' || n FROM NUMBERS""",
    """INSERT INTO dataset_versions (id, dataset_id, number, digest, size_bytes, filename, header, encoding, reported_at)
       SELECT md5('rows' || n), md5('dataset' || n), 1, digest, size_bytes, filename, header, encoding, now()
       FROM NUMBERS,
         (SELECT v.* FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id
          WHERE d.name LIKE '%input' LIMIT 1) AS given""",
    """INSERT INTO reports (id, owner_id, name, ruleset_id)
       SELECT md5('report' || n), :owner, 'report ' || n, md5('ruleset' || n) FROM NUMBERS""",
    """INSERT INTO report_inputs (report_id, file, dataset_id)
       SELECT md5('report' || n), 'input', md5('dataset' || n) FROM NUMBERS""",
    """INSERT INTO report_inputs (report_id, file, dataset_id)
       SELECT md5('report' || n), 'reference', id
       FROM NUMBERS, (SELECT id FROM datasets WHERE name LIKE '%reference' LIMIT 1) AS given""",
    """INSERT INTO schedules (id, report_id, name, cron, timezone)
       SELECT md5('schedule' || n), md5('report' || n), 'main', '30 3 1 1 *', 'Europe/Berlin'
       FROM NUMBERS""",
)
# Runs to be listed, as a service that has made reports for a while has them.
RUNS = """
    INSERT INTO runs (id, owner_id, trigger, report_name, report_id, schedule_id, ruleset_version_id, inputs, run_date, state,
        stage, progress, launches, fence, lost_attempts, accepted_at, finished_at, reported_at)
    SELECT md5('run' || n || '-' || day), :owner, 'schedule', 'report ' || n, md5('report' || n), md5('schedule' || n),
        md5('version' || n), '{}', current_date, 'succeeded', 'done', 100, 0, 1, 0, now() - make_interval(days => day),
        now() - make_interval(days => day), now()
    FROM NUMBERS, (VALUES (1), (2), (3)) AS days (day)
"""


class Bench:
    """A running service, looked at from all sides."""

    def __init__(self, stack: Stack, home: Path, shards: int) -> None:
        self._stack = stack
        self._home = Home(home)
        self._locations = locations(shards)
        runtime = self._home.runtime()
        if runtime is None:
            raise SystemExit("the service does not run")
        self._settings = Settings(
            home=home, database_url=SecretStr(runtime.database_url), broker_url=SecretStr(runtime.broker_url)
        ).model_copy(update={"shards": shards})
        self._context = Context.open(self._settings)
        self._client = Client(stack.url)
        self._owner = self._client.session["user"]["id"]
        self._count = 0
        self._put_the_first()

    def _put_the_first(self) -> None:
        files = {
            "input_file": ("input.csv", (EXAMPLE / "input.csv").read_bytes()),
            "reference_file": ("reference.csv", (EXAMPLE / "reference.csv").read_bytes()),
            "rules_file": ("rules.yaml", (EXAMPLE / "rules.yaml").read_bytes()),
        }
        form = {"cron": "30 3 1 1 *", "report_name": "first"}
        answer = self._client.http.post("/api/trigger-scheduled-report/", files=files, data=form)
        if answer.status_code != 201:
            raise SystemExit(answer.text)
        self._client.wait(answer.json()["task_id"])

    def fill(self, count: int) -> None:
        """Have `count` reports in the catalog, each with ruleset, dataset, schedule and three runs."""
        bounds = {"owner": self._owner, "first": self._count + 1, "last": count}
        with self._context.catalog.transaction() as session:
            for statement in (*COPIES, RUNS):
                session.execute(text(statement.replace("NUMBERS", NUMBERS)), bounds)
        with self._context.catalog.transaction() as session:
            session.execute(text("ANALYZE"))
        self._count = count

    def measure(self, count: int) -> Iterator[tuple[str, str]]:
        """Fill up to `count` reports and yield what was measured, a line each."""
        start = time.perf_counter()
        self.fill(count)
        until(lambda: self._is_shown(f"report {count}"), "the reports are shown", seconds=300)
        yield "all seen after they were put", _seconds(time.perf_counter() - start)
        until(self._is_quiet, "nothing is reloaded any more", seconds=300)
        yield "imports, definitions built, in a process of its own", self._build()
        yield "fingerprint query", _spread([_timed(self._fingerprint) for _ in range(CALLS)])
        yield (
            "reload of each location (GraphQL)",
            _spread([self._seconds_to_reload(name) for _ in range(RELOADS) for name in self._locations]),
        )
        yield "a change seen in GraphQL after", _spread([self._seconds_to_be_seen() for _ in range(RELOADS)])
        yield "the next change, made at once, after", _seconds(self._rename())
        for path in ("/api/v1/schedules", "/api/v1/runs"):
            yield f"GET {path}", _spread([_timed(lambda path=path: self._get(path)) for _ in range(CALLS)])
        yield "asset list (GraphQL)", _spread([_timed(lambda: self._stack.graphql(ASSETS)) for _ in range(3)])
        yield "memory", self._memory()
        if count >= DUE_AT_ONCE:
            yield f"{DUE_AT_ONCE} due in one minute", self._due_at_once()

    def _build(self) -> str:
        environment = {**self._settings.environment(), "PYTHONPATH": str(EXAMPLE.parents[1])}
        environment["REPORTGEN_SHARD"] = "0"
        done = subprocess.run(
            [sys.executable, "-c", BUILD], env=environment, capture_output=True, text=True, check=True
        )
        return " s, ".join(f"{float(word):.2f}" for word in done.stdout.split()) + " s"

    def _fingerprint(self) -> None:
        with self._context.catalog.transaction() as session:
            catalog.fingerprints(session, len(self._locations))

    def _seconds_to_reload(self, location: str) -> float:
        """Reload a location, and let it rest as gateways do: webserver and daemon read it once more after the answer."""
        start = time.perf_counter()
        self._stack.graphql(RELOAD, {"location": location}, seconds=300)
        seconds = time.perf_counter() - start
        time.sleep(max(seconds, definitions.LEAST_PAUSE_SECONDS))
        return seconds

    def _is_quiet(self) -> bool:
        return not definitions.changed_locations(self._context)

    def _seconds_to_be_seen(self) -> float:
        """Return after how long a change is seen where nothing was reloaded a moment before."""
        until(self._may_reload, "nothing is reloaded any more", seconds=120)
        return self._rename()

    def _may_reload(self) -> bool:
        return self._is_quiet() and not any(
            definitions.is_resting(self._context, name) for name in self._locations
        )

    def _rename(self) -> float:
        """Rename a report and wait until Dagster shows it under the new name."""
        name = f"renamed {time.monotonic_ns()}"
        start = time.perf_counter()
        with self._context.catalog.transaction() as session:
            session.execute(text("UPDATE reports SET name = :name WHERE id = md5('report1')"), {"name": name})
        until(lambda: self._is_shown(name), "the change is seen", seconds=120)
        return time.perf_counter() - start

    def _is_shown(self, name: str) -> bool:
        key = {"path": report_key(self._owner, name).path}
        return bool(self._stack.graphql(SHOWN, {"key": key})["assetNodeOrError"]["__typename"] == "AssetNode")

    def _get(self, path: str) -> None:
        answer = self._client.http.get(path)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:  # access tokens live for ten minutes
            self._client.sign_in_again()
            answer = self._client.http.get(path)
        if answer.status_code != 200:
            raise SystemExit(answer.text)

    def _memory(self) -> str:
        instance = self._home.last_instance() or ""
        names = ["code-server", *(f"code-server-{n}" for n in range(1, len(self._locations)))]
        sizes = {
            name: sum(process.memory_info().rss for process in marked(instance, name))
            for name in (*names, "webserver", "daemon", "gateway")
        }
        return ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in sizes.items())

    def _due_at_once(self) -> str:
        """Let 200 schedules be due at a minute that is at least 40 s away, and wait until their runs are accepted."""
        due = (datetime.now(UTC) + timedelta(seconds=100)).replace(second=0, microsecond=0)
        cron = f"{due.minute} {due.hour} {due.day} {due.month} *"
        chosen = {"cron": cron, "last": DUE_AT_ONCE}
        with self._context.catalog.transaction() as session:
            session.execute(
                text(
                    "UPDATE schedules SET cron = :cron, timezone = 'UTC' WHERE id IN"
                    " (SELECT md5('schedule' || n) FROM generate_series(1, :last) AS n)"
                ),
                chosen,
            )
        until(self._is_quiet, "the schedules are loaded", seconds=170)
        until(lambda: self._accepted(due)[0] == DUE_AT_ONCE, "all are accepted", seconds=600)
        count, first, last = self._accepted(due)
        until(lambda: self._unfinished() == 0, "all are made", seconds=900)
        done = time.time() - due.timestamp()
        accepted = f"{count} accepted with their due time {first:.1f} to {last:.1f} s after it"
        return f"{accepted}, all made after {done:.0f} s"

    def _accepted(self, due: datetime) -> tuple[int, float, float]:
        with self._context.catalog.transaction() as session:
            row = session.execute(
                text(
                    "SELECT count(*), coalesce(extract(epoch FROM min(accepted_at) - :due), 0),"
                    " coalesce(extract(epoch FROM max(accepted_at) - :due), 0) FROM runs WHERE due_at = :due"
                ),
                {"due": due},
            ).one()
        return int(row[0]), float(row[1]), float(row[2])

    def _unfinished(self) -> int:
        with self._context.catalog.transaction() as session:
            return int(
                session.scalar(text("SELECT count(*) FROM runs WHERE state IN ('accepted', 'running')")) or 0
            )


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _spread(times: list[float]) -> str:
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"p50 {_seconds(statistics.median(ordered))}, p95 {_seconds(p95)}"


@contextmanager
def _service(shards: int) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="rg-") as home:
        stack = Stack(Path(home), REPORTGEN_SHARDS=str(shards))
        stack.start()
        try:
            yield Bench(stack, Path(home), shards)
        finally:
            stack.stop()


def main() -> None:
    """Measure each count after the other and print a list for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=[10, 100, 1000])
    parser.add_argument("--shards", type=int, default=1)
    given = parser.parse_args()
    with _service(given.shards) as bench:
        for count in sorted(given.counts):
            print(f"{count:,} reports", flush=True)
            for what, measured in bench.measure(count):
                print(f"  {what}: {measured}", flush=True)


if __name__ == "__main__":
    main()
