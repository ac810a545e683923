"""The catalog's tables, as SQLAlchemy models. No queries here, and no rules about who may see what.

Times are aware and in UTC. Ids are 32 hex digits (`identity.new_id`). JSON columns hold plain data.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar, Literal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from reportgen_dagster.identity import new_id

CSV_TYPE = "text/csv"  # the media type of uploads, reports and rejects
ADMIN = "admin"
FINAL_STATES = ("succeeded", "failed", "cancelled")
STAGES = ("waiting", "ingest", "validate", "transform", "publish", "done")


class Base(DeclarativeBase):
    """Base of all tables; constraint names follow one convention so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        date: Date(),
        dict[str, Any]: JSONB,
        list[str]: JSONB,
        list[dict[str, Any]]: JSONB,
        int: BigInteger,
    }


Id = String(32)


class User(Base):
    """Somebody who has an account."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role in ('user', 'admin')", name="role"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(Text, unique=True)  # lower case
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[Literal["user", "admin"]] = mapped_column(String(8), server_default=text("'user'"))
    priority: Mapped[int] = mapped_column(
        server_default=text("0")
    )  # whose runs go first; higher before lower
    max_runs: Mapped[int | None]  # runs at the same time; None: what the service is set to
    retention_days: Mapped[int | None]  # for how long his files are kept; None: what the service is set to
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]


class Session(Base):
    """One sign-in. Ending it refuses its access tokens and its refresh tokens at once."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None] = mapped_column(Text)
    user_agent: Mapped[str] = mapped_column(Text, default="")
    address: Mapped[str] = mapped_column(Text, default="")

    user: Mapped[User] = relationship()


class RefreshToken(Base):
    """One refresh token, kept as its digest. Used once; a second use ends the session."""

    __tablename__ = "refresh_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    parent_digest: Mapped[str | None] = mapped_column(String(64))
    issued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ApiToken(Base):
    """A token that a program signs in with, kept as its digest: good for its scopes until it expires or is deleted."""

    __tablename__ = "api_tokens"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]  # to the minute

    user: Mapped[User] = relationship()


class ThrottledAttempt(Base):
    """One attempt at something that may be tried so often only; an old one counts no more."""

    __tablename__ = "throttled_attempts"
    __table_args__ = (Index("ix_throttled_attempts_key_at", "key", "at"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(String(64))  # digest of what is counted: an account, an address
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)


class AuditEvent(Base):
    """Who did what to which thing. Rows are only added: a trigger refuses all else but the removal of old ones."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_at", "at", "id"),
        Index("ix_audit_events_user_at", "user_id", "at", "id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    user_id: Mapped[str | None] = mapped_column(Id)  # None: nobody known, or whoever runs the installation
    action: Mapped[str] = mapped_column(String(32))  # services/audit.py
    thing: Mapped[str] = mapped_column(Text)  # what it was done to, as kind/name
    address: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(String(64))


class Dataset(Base):
    """A named logical table of one owner; `default-input` and the like are last uploads, `run-...` files sent with one call."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("owner_id", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # A new version is expected by a cron expression; it is late so many seconds after that.
    expected_cron: Mapped[str | None] = mapped_column(Text)
    expected_timezone: Mapped[str | None] = mapped_column(Text)
    expected_within_seconds: Mapped[int | None]
    expected_since: Mapped[datetime | None]

    owner: Mapped[User] = relationship()


class DatasetVersion(Base):
    """An immutable snapshot of a dataset. The bytes lie in storage under their digest."""

    __tablename__ = "dataset_versions"
    __table_args__ = (
        UniqueConstraint("dataset_id", "number"),
        Index("ix_dataset_versions_unreported", "created_at", postgresql_where=text("reported_at is null")),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    number: Mapped[int]  # 1, 2, 3 ... within the dataset
    digest: Mapped[str] = mapped_column(String(64), index=True)  # SHA-256 of the bytes as uploaded
    size_bytes: Mapped[int]
    filename: Mapped[str] = mapped_column(Text)  # the client's name, for show only
    header: Mapped[list[str]]  # the column names, as read when it was uploaded
    encoding: Mapped[str] = mapped_column(Text)  # how the bytes are to be decoded
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())  # when these bytes last came
    profile: Mapped[
        dict[str, Any] | None
    ]  # rows, columns and first rows, once somebody looked: engine/profile.py
    rejects_digest: Mapped[str | None] = mapped_column(String(64))  # its rows that cannot be read, as CSV
    rejects_bytes: Mapped[int | None]
    reported_at: Mapped[datetime | None]  # when Dagster got its materialization

    dataset: Mapped[Dataset] = relationship()


class ResumableUpload(Base):
    """A file that comes in over several requests, and what it became. Its bytes are a part in storage until it is whole."""

    __tablename__ = "resumable_uploads"
    __table_args__ = (CheckConstraint("state in ('receiving', 'complete', 'refused')", name="state"),)

    id: Mapped[str] = mapped_column(
        Id, primary_key=True, default=new_id
    )  # also of the version that it becomes
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    dataset: Mapped[str] = mapped_column(
        Text
    )  # what it becomes a version of; of a last upload `default-input` ...
    filename: Mapped[str] = mapped_column(Text)
    told: Mapped[str] = mapped_column(Text)  # the client's metadata, as it came
    size_bytes: Mapped[int]  # what it will have
    offset_bytes: Mapped[int] = mapped_column(server_default=text("0"))  # what is durable
    state: Mapped[Literal["receiving", "complete", "refused"]] = mapped_column(
        String(16), server_default=text("'receiving'")
    )
    digest: Mapped[str | None] = mapped_column(String(64))  # once whole and checked, before it is published
    version_id: Mapped[str | None] = mapped_column(
        ForeignKey("dataset_versions.id", ondelete="SET NULL"), index=True
    )
    error: Mapped[dict[str, Any] | None]  # why it was refused: `ReportgenError.to_json`
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Ruleset(Base):
    """A named set of rules of one owner."""

    __tablename__ = "rulesets"
    __table_args__ = (UniqueConstraint("owner_id", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    owner: Mapped[User] = relationship()


class RulesetVersion(Base):
    """An immutable text of rules, as it was uploaded (at most 1 MiB)."""

    __tablename__ = "ruleset_versions"
    __table_args__ = (
        UniqueConstraint("ruleset_id", "number"),
        Index("ix_ruleset_versions_unreported", "created_at", postgresql_where=text("reported_at is null")),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    ruleset_id: Mapped[str] = mapped_column(ForeignKey("rulesets.id", ondelete="CASCADE"))
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
    syntax: Mapped[str] = mapped_column(String(8))  # yaml or json
    filename: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    summary: Mapped[dict[str, Any] | None]  # for people: services/rules_facts.py
    reported_at: Mapped[datetime | None]  # when Dagster got its materialization

    ruleset: Mapped[Ruleset] = relationship()


class Report(Base):
    """A named report of one owner: which rules over which datasets, and when by itself. Its runs pin versions."""

    __tablename__ = "reports"
    __table_args__ = (UniqueConstraint("owner_id", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    ruleset_id: Mapped[str] = mapped_column(ForeignKey("rulesets.id"), index=True)
    ruleset_version_id: Mapped[str | None] = mapped_column(
        ForeignKey("ruleset_versions.id")
    )  # None: the latest
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))  # as they were given
    formats: Mapped[list[str] | None]  # None: those that the rules name
    on_new_data: Mapped[bool] = mapped_column(
        server_default=text("false")
    )  # runs when a dataset has a new version
    settle_seconds: Mapped[int] = mapped_column(server_default=text("10"))  # ... and no newer one for so long
    fresh_within_seconds: Mapped[int | None]  # older than that it is stale; None: nobody minds
    # Where its runs and lapses are told and its files go: services/destinations.py.
    deliveries: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    retention_days: Mapped[
        int | None
    ]  # its runs' files are kept so long, if that is shorter than its owner's
    keep_runs: Mapped[int | None]  # ... but those of its last so many successes as long as the owner's
    paused_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    owner: Mapped[User] = relationship()
    ruleset: Mapped[Ruleset] = relationship()
    inputs: Mapped[list[ReportInput]] = relationship(
        order_by="ReportInput.file", cascade="all, delete-orphan"
    )


class ReportInput(Base):
    """A file of a report: which dataset the rules see under a name."""

    __tablename__ = "report_inputs"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True)
    file: Mapped[str] = mapped_column(Text, primary_key=True)  # `input`, or the name of a reference
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    version_id: Mapped[str | None] = mapped_column(ForeignKey("dataset_versions.id"))  # None: the latest

    dataset: Mapped[Dataset] = relationship()


class Schedule(Base):
    """When a report runs by a cron expression."""

    __tablename__ = "schedules"
    __table_args__ = (
        UniqueConstraint("report_id", "name"),
        CheckConstraint("missed in ('skip', 'last', 'all')", name="missed"),
        CheckConstraint("unchanged in ('run', 'skip')", name="unchanged"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    cron: Mapped[str] = mapped_column(Text)  # five fields, as the user wrote them
    timezone: Mapped[str] = mapped_column(Text)  # an IANA name
    missed: Mapped[Literal["skip", "last", "all"]] = mapped_column(
        String(8), server_default=text("'last'")
    )  # ticks while Dagster was away
    unchanged: Mapped[Literal["run", "skip"]] = mapped_column(
        String(8), server_default=text("'run'")
    )  # where rules and data are the same
    paused_at: Mapped[datetime | None]
    handled_until: Mapped[datetime] = mapped_column(
        server_default=func.clock_timestamp()
    )  # due times up to then are dealt with
    dagster_status: Mapped[str | None] = mapped_column(
        String(16)
    )  # what an operator last set by hand, as it was seen
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    report: Mapped[Report] = relationship()


class Run(Base):
    """One generation of a report with its inputs pinned. The queue of record."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("state in ('accepted', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
        Index("ix_runs_owner_accepted", "owner_id", "accepted_at", "id"),  # read backwards: the newest first
        Index("ix_runs_unfinished", "state", postgresql_where=text("state in ('accepted', 'running')")),
        # The last runs of a report, and of a schedule.
        Index("ix_runs_report_accepted", "report_id", "accepted_at", "id"),
        Index("ix_runs_schedule_accepted", "schedule_id", "accepted_at", "id"),
        # What the turn of an owner's next run follows from.
        Index("ix_runs_owner_turn", "owner_id", "turn", postgresql_where=text("state <> 'cancelled'")),
        Index("ix_runs_begun_turn", "turn", postgresql_where=text("started_at is not null")),
        Index(
            "ix_runs_unreported",
            "finished_at",
            postgresql_where=text("state = 'succeeded' and reported_at is null"),
        ),
        Index(
            "ix_runs_succeeded",
            "report_id",
            "finished_at",
            postgresql_where=text("state = 'succeeded'"),
        ),
        # The runs that made the same before.
        Index(
            "ix_runs_recipe",
            "owner_id",
            "recipe",
            postgresql_where=text("state = 'succeeded' and recipe is not null"),
        ),
        # A tick makes one run, however often it is told; so does a Dagster run (origin_dagster_run_id).
        UniqueConstraint("schedule_id", "due_at"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    trigger: Mapped[str] = mapped_column(
        String(16)
    )  # api, schedule, data, or dagster (materialize, re-execution)
    report_name: Mapped[str] = mapped_column(Text, default="default")
    report_id: Mapped[str | None] = mapped_column(ForeignKey("reports.id", ondelete="SET NULL"))
    schedule_id: Mapped[str | None] = mapped_column(ForeignKey("schedules.id", ondelete="SET NULL"))
    due_at: Mapped[datetime | None]  # of a tick; None for the run that a new schedule makes at once
    origin_dagster_run_id: Mapped[str | None] = mapped_column(Text, unique=True)  # trigger dagster only
    ruleset_version_id: Mapped[str] = mapped_column(ForeignKey("ruleset_versions.id"))
    inputs: Mapped[dict[str, Any]]  # name of the file in the rules -> dataset version id
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))  # as they were given
    run_date: Mapped[date]  # what `today()` is; a schedule's due date in its time zone
    formats: Mapped[list[str] | None]  # None: those that the rules name
    # Of a success: the digest of all that its files follow from (services/recipes.py).
    recipe: Mapped[str | None] = mapped_column(String(64))

    state: Mapped[str] = mapped_column(String(16), default="accepted")
    stage: Mapped[str] = mapped_column(String(16), default="waiting")
    progress: Mapped[int] = mapped_column(default=0)  # percent
    accepted_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    turn: Mapped[int] = mapped_column(server_default=text("0"))  # in which round of all owners it is due
    launched_at: Mapped[datetime | None]  # when Dagster was last asked to run it
    launches: Mapped[int] = mapped_column(default=0)  # how often it was asked since it was last claimed
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
    reported_at: Mapped[datetime | None]  # when Dagster got the events of a success
    expired_at: Mapped[datetime | None]  # when its files were removed, as they were old

    fence: Mapped[int] = mapped_column(default=0)  # grows with each claim; guards every write of an attempt
    lost_attempts: Mapped[int] = mapped_column(default=0)  # claims whose worker died
    dagster_run_id: Mapped[str | None] = mapped_column(Text, index=True)  # of the last claim or launch

    row_count: Mapped[int | None]  # rows of the report
    input_count: Mapped[int | None]  # rows of the input
    used_count: Mapped[int | None]  # rows of the input that the steps saw
    reject_count: Mapped[int | None]
    # Of a success: output columns and types, preview, checks. Of a failure what is known of its checks.
    outcome: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]  # of a failure: `ReportgenError.to_json`

    owner: Mapped[User] = relationship()
    schedule: Mapped[Schedule | None] = relationship()
    ruleset_version: Mapped[RulesetVersion] = relationship()


class Lease(Base):
    """The sign of life of one attempt, which is one Dagster run. Its worker's supervisor renews it."""

    __tablename__ = "leases"

    dagster_run_id: Mapped[str] = mapped_column(Text, primary_key=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    fence: Mapped[int | None]  # of the run, once claimed
    worker: Mapped[str] = mapped_column(Text)  # host and process id
    started_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    beat_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    ended_at: Mapped[datetime | None]
    # How the process ended: done (it said all it had to), lost (it died), interrupted (a server was away).
    ending: Mapped[str | None] = mapped_column(String(16))


class Artifact(Base):
    """A published file of a run, write-once."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("run_id", "format"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    format: Mapped[str] = mapped_column(String(16))  # csv, json ...: engine/formats.py
    digest: Mapped[str] = mapped_column(String(64), index=True)
    size_bytes: Mapped[int]
    media_type: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    run: Mapped[Run] = relationship()


class Rejects(Base):
    """The rows that a run diverted, as one CSV file in storage. A run without rejects has no row here; a failed one may."""

    __tablename__ = "rejects"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    size_bytes: Mapped[int]
    row_count: Mapped[int]


class Delivery(Base):
    """One message or copy on its way to one destination: the outbox, written in the transaction that it tells of."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state in ('pending', 'delivered', 'dead')", name="state"),
        Index("ix_deliveries_pending", "channel", "next_at", postgresql_where=text("state = 'pending'")),
        Index("ix_deliveries_dead", "report_id", postgresql_where=text("state = 'dead'")),
        Index("ix_deliveries_report_created", "report_id", "created_at"),
        Index("ix_deliveries_owner_created", "owner_id", "created_at", "id"),
    )

    # Made of what it tells and where to: the same is never written twice, and receivers can tell a repetition.
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    report_id: Mapped[str | None] = mapped_column(ForeignKey("reports.id", ondelete="SET NULL"))
    report_name: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str | None] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), index=True
    )  # None: of a report that is late
    event: Mapped[Literal["success", "failure", "late"]] = mapped_column(String(16))
    words: Mapped[str | None] = mapped_column(Text)  # of a report that is late: since when
    channel: Mapped[Literal["email", "webhook", "copy"]] = mapped_column(String(16))
    destination: Mapped[dict[str, Any]]  # as it was at that time; secrets by their names only

    state: Mapped[Literal["pending", "delivered", "dead"]] = mapped_column(
        String(16), server_default=text("'pending'")
    )
    attempts: Mapped[int] = mapped_column(server_default=text("0"))  # since it was last asked for
    next_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    give_up_at: Mapped[datetime]  # what fails then is dead
    fence: Mapped[int] = mapped_column(server_default=text("0"))  # grows with each claim
    leased_until: Mapped[datetime | None]  # somebody is sending it; later than that nobody is
    last_error: Mapped[dict[str, Any] | None]  # `ReportgenError.to_json`
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class SecretGrant(Base):
    """A user may sign webhooks with a secret of the installation; the operator said so. Its value is not here."""

    __tablename__ = "secret_grants"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    granted_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LoadedDefinitions(Base):
    """What a Dagster code location last built its definitions from, so that a change is noticed."""

    __tablename__ = "loaded_definitions"

    location: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    loaded_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    reloaded_at: Mapped[datetime | None]  # when the last reload that the gateway asked for ended
    reload_seconds: Mapped[float | None]  # how long it took
    problem: Mapped[str | None] = mapped_column(Text)  # why it failed; None: it did not


class RunEvent(Base):
    """One thing that happened to a run, numbered 1, 2, 3 ... within it: what a live stream tells and replays."""

    __tablename__ = "run_events"
    __table_args__ = (
        CheckConstraint(
            "kind in ('accepted', 'stage', 'progress', 'succeeded', 'failed', 'cancelled')", name="kind"
        ),
    )

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    stage: Mapped[str] = mapped_column(String(16))
    progress: Mapped[int]  # percent
    rows: Mapped[int | None]  # read so far; of a success: rows of the report
    rejected: Mapped[int | None]
    error: Mapped[dict[str, Any] | None]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class IdempotencyKey(Base):
    """A request that was carried out under an Idempotency-Key, and its answer. Kept for a day."""

    __tablename__ = "idempotency_keys"

    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    call: Mapped[str] = mapped_column(Text, primary_key=True)  # its operation id
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))  # of all that was asked for
    answer: Mapped[str] = mapped_column(Text)  # as the gateway wrote it; services do not read it
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)
