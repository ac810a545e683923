"""Users, files and rules for tests of the use cases, and shortcuts that play a worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from sqlalchemy import make_url, text

from reportgen_dagster.catalog.session import short_lived_engine
from reportgen_dagster.catalog.tables import User
from reportgen_dagster.formats import media_type
from reportgen_dagster.identity import new_id
from reportgen_dagster.services import attempts, runs, uploads
from reportgen_dagster.services.attempts import Claim, NewArtifact
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.rules_facts import RulesFacts
from reportgen_dagster.services.uploads import RulesText, Upload

INPUT = b"key,price\nA,1\nB,2\n"
REFERENCE = b"key,name\nA,apple\nB,pear\n"
RULES = RulesText("rules.yaml", '- {output: total, formula: "price * 2"}\n', "yaml")
OUTCOME = {
    "input_count": 2,
    "used_count": 2,
    "row_count": 2,
    "reject_count": 0,
    "columns": [],
    "preview": "a\0b\ud800",
}


# A server's age cannot be changed, so the tests' databases have a function of that name which is found first.
SERVER_STARTED = """
    CREATE OR REPLACE FUNCTION public.pg_postmaster_start_time() RETURNS timestamptz
    LANGUAGE sql AS $$ SELECT clock_timestamp() - interval '{age}' $$
"""


def fits(_rules: RulesText, _columns: object, _parameters: object = None) -> RulesFacts:
    """Take any rules for good: what the real check says is tested in test_fitting.py."""
    return RulesFacts(references=("reference",))


@dataclass(frozen=True)
class World:
    """An installation with shortcuts."""

    context: Context
    ann: str
    bob: str

    def file(self, content: bytes = INPUT, role: str = "input") -> Upload:
        return uploads.receive(self.context, f"{role}.csv", [content], role=role)

    def files(self) -> dict[str, Upload]:
        return {"input": self.file(), "reference": self.file(REFERENCE, "reference")}

    def run(self, owner_id: str = "") -> str:
        owner_id = owner_id or self.ann
        return runs.accept_run(self.context, owner_id, files=self.files(), rules=RULES, check=fits).id

    def claim(self, run_id: str, dagster_run_id: str = "") -> Claim:
        dagster_run_id = dagster_run_id or new_id()
        assert attempts.begin(self.context, dagster_run_id, "here:1")
        claimed = attempts.claim(self.context, run_id, dagster_run_id)
        assert claimed is not None
        return claimed

    def bytes_of(self, claimed: Claim, name: str) -> bytes:
        """Read a file of a claimed run, as its attempt does."""
        with self.context.store.work_folder("test") as work:
            return attempts.fetch_files(self.context, claimed, work)[name].read_bytes()

    def publish(
        self, claimed: Claim, content: bytes = b"total\n2\n4\n", formats: Sequence[str] = ("csv",)
    ) -> bool:
        with self.context.store.new_blob() as blob:
            blob.write(content)
            stored = blob.finish()
        return attempts.publish(
            self.context,
            claimed,
            artifacts=[NewArtifact(name, stored, media_type(name)) for name in formats],
            rejects=None,
            outcome=OUTCOME,
        )

    def state(self, run_id: str) -> str:
        return runs.state_of(self.context, run_id)

    def sql(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        with self.context.catalog.transaction() as session:
            result = session.execute(text(statement), values)
            return [tuple(row) for row in result] if statement.startswith("SELECT") else []

    def restart_server(self) -> None:
        """Let the server look as if it had come up one second ago."""
        self.sql(SERVER_STARTED.format(age="1 second"))

    def age(self, dagster_run_id: str, seconds: int = 60) -> None:
        """Let a lease look as if nobody renewed it for so long, on a server that was up all the while."""
        self.sql(
            "UPDATE leases SET beat_at = beat_at - make_interval(secs => :s) WHERE dagster_run_id = :id",
            s=seconds,
            id=dagster_run_id,
        )


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an S3 server."""
    from moto.server import ThreadedMotoServer  # a second that most tests do without

    running = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def world(context: Context, database_url: str) -> World:
    """An installation with the users Ann and Bob, on a server that has been up for an hour."""
    with short_lived_engine(database_url).begin() as connection:
        connection.execute(text(SERVER_STARTED.format(age="1 hour")))
        name = make_url(database_url).database
        connection.execute(text(f"ALTER DATABASE {name} SET search_path = public, pg_catalog"))
    with context.catalog.transaction() as session:
        users = [User(email=f"{name}@example.com", name=name, password_hash="-") for name in ("ann", "bob")]
        session.add_all(users)
        session.flush()
        return World(context, users[0].id, users[1].id)
