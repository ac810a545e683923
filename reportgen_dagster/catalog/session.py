"""The catalog's connections: sessions that only read, the one unit of work that commits, making and migrating databases.

Queries do not belong here. Nobody else commits, and nobody else judges a lost connection. Alembic is imported where it migrates.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Engine, NullPool, QueuePool, create_engine, event, exc, make_url, text
from sqlalchemy.orm import ORMExecuteState, Session

from reportgen_dagster.errors import UnavailableError
from reportgen_dagster.pooling import look_after

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 7_301_001  # key of the advisory lock that one migrating process holds
CONNECT_SECONDS = 5
POOL_SIZE, MOST_BEYOND = 5, 15


class Catalog:
    """The pool of connections to the catalog's database."""

    def __init__(self, url: str) -> None:
        """Prepare the pool; nothing is connected yet.

        Args:
            url: The database, as `Settings.catalog_url` gives it.
        """
        self._engine = create_engine(
            psycopg_url(url),
            pool_size=POOL_SIZE,
            max_overflow=MOST_BEYOND,
            pool_timeout=10,
            hide_parameters=True,  # what a statement that fails was given is people's data, and errors are logged
            connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "reportgen"},
        )
        look_after(self._engine)
        self._each_by_itself = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a session whose changes are committed together at the end, or not at all.

        Raises:
            UnavailableError: If the server does not answer or went away. Whether a commit that was under way
                arrived is then unknown; every write that matters can be repeated or is guarded by a fence.
        """
        with (
            told_as_unavailable(),
            Session(self._engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads. Each query sees what is committed by then, as in a transaction of this catalog.

        Without a transaction to begin and to end, a query is one round trip instead of three.

        Raises:
            UnavailableError: If the server does not answer or went away.
            TypeError: If something is to be written.
        """
        with told_as_unavailable(), _Reading(self._each_by_itself, expire_on_commit=False) as session:
            yield session
            session.flush()  # what was to be written is told, not forgotten

    @contextmanager
    def snapshot(self) -> Iterator[tuple[Session, str]]:
        """Open a session that sees the database as it is now all the while, and name the snapshot so that others see the same.

        Raises:
            UnavailableError: If the server does not answer.
        """
        with told_as_unavailable(), self._engine.connect() as plain:
            connection = plain.execution_options(isolation_level="REPEATABLE READ")
            with Session(connection) as session, session.begin():
                yield session, str(session.scalar(text("SELECT pg_export_snapshot()")))

    @contextmanager
    def exclusive(self, key: int, *, waits: bool = False) -> Iterator[bool]:
        """Hold an advisory lock while the block runs, on a connection of its own; tell whether it could be had at once.

        For work that takes long outside the database. The server gives the lock back when the holder dies.

        Args:
            key: Which lock.
            waits: Wait until it can be had.

        Raises:
            UnavailableError: If the server does not answer.
        """
        engine = short_lived_engine(self._engine.url)
        with told_as_unavailable(), engine.connect() as plain:
            connection = plain.execution_options(isolation_level="AUTOCOMMIT")
            if waits:
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
                yield True
            else:
                yield bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}))

    def ping(self) -> None:
        """Ask the server for a sign of life.

        Raises:
            UnavailableError: If it does not answer.
        """
        with self.reading() as session:
            session.execute(text("SELECT 1"))

    def connections(self) -> dict[str, int]:
        """Return how many connections are `busy`, how many `idle`, and how many there may be at `most`."""
        pool = self._engine.pool
        busy = pool.checkedout() if isinstance(pool, QueuePool) else 0
        idle = pool.checkedin() if isinstance(pool, QueuePool) else 0
        return {"busy": busy, "idle": idle, "most": POOL_SIZE + MOST_BEYOND}

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


class _Reading(Session):
    """A session that refuses to write, since each statement would be committed by itself; it does not read SQL given as text."""


@event.listens_for(_Reading, "do_orm_execute")
def _refuse_to_write(executed: ORMExecuteState) -> None:
    if executed.is_insert or executed.is_update or executed.is_delete:
        raise TypeError("a session that only reads was given a statement that writes")


@event.listens_for(_Reading, "before_flush")
def _refuse_to_flush(*_what: object) -> None:
    raise TypeError("a session that only reads was given something to write")


@contextmanager
def told_as_unavailable() -> Iterator[None]:
    """Turn a lost, refused or overloaded connection into `UnavailableError`; other errors pass.

    Raises:
        UnavailableError: If the server does not answer or went away.
    """
    try:
        yield
    except exc.DBAPIError as error:
        if isinstance(error, exc.OperationalError | exc.InterfaceError) or error.connection_invalidated:
            raise UnavailableError("The database does not answer.") from error
        raise
    except exc.TimeoutError as error:
        raise UnavailableError("The database has no connection left for this.") from error


def psycopg_url(url: str | URL) -> URL:
    """Return a database URL for psycopg 3, whichever driver it names."""
    return make_url(url).set(drivername="postgresql+psycopg")


def short_lived_engine(url: str | URL) -> Engine:
    """Return an engine that keeps no connection; for start-up work and for databases that are not ours."""
    return create_engine(
        psycopg_url(url),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": CONNECT_SECONDS},
    )


def migrate(url: str) -> None:
    """Bring the catalog's tables up to date. Of several processes at once, one works and the others wait.

    Raises:
        UnavailableError: If the server does not answer.
    """
    from alembic import command

    with told_as_unavailable(), short_lived_engine(url).connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()
        try:
            command.upgrade(migration_config(connection), "head")
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()


def head_revision() -> str:
    """Return the revision that this release's tables have."""
    from alembic.script import ScriptDirectory

    return str(ScriptDirectory.from_config(_config()).get_current_head())


def is_known_revision(revision: str) -> bool:
    """Tell whether this release can migrate tables of a revision."""
    return any(path.name.startswith(f"{revision}_") for path in (MIGRATIONS / "versions").glob("*.py"))


def migration_config(connection: Connection) -> Config:
    """Return Alembic's configuration, which migrates through the given connection."""
    config = _config()
    config.attributes["connection"] = connection
    return config


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
