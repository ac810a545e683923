"""The settings of every process, one typed object. The only place that reads the environment.

Each field is the environment variable `REPORTGEN_<FIELD>`; `docs/settings.md` is made from this file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from reportgen_dagster.sizes import byte_count

MINIMUM_SECRET_BYTES = 32
BUCKET = "s3://"


def _strong(secret: SecretStr | None) -> SecretStr | None:
    """Refuse a signing key that is short or has hardly any variety (a placeholder)."""
    if secret is not None:
        text = secret.get_secret_value()
        if len(text.encode()) < MINIMUM_SECRET_BYTES or len(set(text)) < MINIMUM_SECRET_BYTES // 4:
            raise ValueError(
                f"must be at least {MINIMUM_SECRET_BYTES} random bytes; make one with: openssl rand -hex 32"
            )
    return secret


def _byte_size(text: str) -> str:
    """Refuse what is not a whole number with B, KB, MB or GB."""
    byte_count(text)
    return text


def _inbox(place: str) -> str:
    """Refuse a URL that is not of a bucket."""
    if "://" in place and not place.startswith(BUCKET):
        raise ValueError(f"must be a folder or begin with {BUCKET}")
    return place


ByteSize = Annotated[str, AfterValidator(_byte_size)]


class Settings(BaseSettings):
    """What a process of reportgen can be told. Frozen; build it with `Settings()` where a process starts."""

    model_config = SettingsConfigDict(env_prefix="REPORTGEN_", frozen=True, extra="ignore")

    home: Path = Field(Path(".reportgen"), description="Folder of everything that this installation keeps.")
    host: str = Field("127.0.0.1", description="Address that the gateway listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port of the gateway.")
    dagster_port: int = Field(3000, ge=1, le=65535, description="Port of the Dagster UI, on loopback only.")
    code_server_port: int = Field(
        4266,
        ge=1,
        le=65535,
        description="Port of Dagster's code server, loopback only; further ones take the next ports.",
    )
    code_server_host: str = Field(
        "127.0.0.1",
        description="Where Dagster finds its code servers; `reportgen up` starts them on loopback.",
    )
    shards: int = Field(
        1,
        ge=1,
        le=16,
        description="Code servers that the definitions are dealt out to; one for each 1,000 reports.",
    )
    shard: int = Field(0, ge=0, le=15, description="Which of them this code server is, from 0.")
    dagster_url: str = Field(
        "", description="Address of the Dagster webserver; empty: loopback and DAGSTER_PORT."
    )
    public_url: str = Field(
        "", description="Address of the API as its users reach it, for links; empty: links are paths."
    )
    dagster_public_url: str = Field(
        "", description="Address of the Dagster UI as operators reach it, for links; empty: DAGSTER_URL."
    )
    database_url: SecretStr | None = Field(
        None,
        description="The catalog's PostgreSQL, as postgresql://user:password@host/name; empty: an embedded server."
        " Dagster's storage is the database <name>_dagster beside it.",
    )
    broker_url: SecretStr | None = Field(
        None, description="Valkey or Redis for Celery, as redis://host:6379/0; empty: an embedded server."
    )
    storage_url: str = Field("", description="Where files are kept, as file:///path; empty: HOME/storage.")
    inbox: Annotated[str, AfterValidator(_inbox)] = Field(
        "",
        description="The watched inbox: a folder, or s3://bucket/prefix with the usual AWS_... variables. Files in"
        " <user>/<dataset>/ in it become versions of that dataset. Empty: HOME/inbox.",
    )
    secret_key: Annotated[SecretStr | None, AfterValidator(_strong)] = Field(
        None, description="Signs access tokens; empty: made on first start and kept in HOME/secret_key."
    )
    workers: int = Field(2, ge=1, le=64, description="Reports that run at the same time on this machine.")
    runs_per_user: int = Field(
        0,
        ge=0,
        description="Reports of one user that run at the same time, where the user has no number of their own;"
        " 0: as many as WORKERS.",
    )
    memory_limit: ByteSize = Field(
        "1GB", description="Memory of one run for DuckDB's buffers; it takes about 300 MB more."
    )
    time_limit_seconds: int = Field(3600, ge=1, description="Seconds that one run may take.")
    temp_limit: ByteSize = Field(
        "100GB", description="Room on the disk that one run may take for copies of files and spilled data."
    )
    retention_days: int | None = Field(
        None,
        ge=1,
        description="Days that reports, rejects and files of finished runs, and replaced versions of datasets are kept;"
        " empty: for ever.",
    )
    max_upload_bytes: int = Field(10 * 1000**3, ge=1, description="Largest file that an upload may bring.")
    demo: bool = Field(
        default=True, description="Make the example report on the first start of an empty home."
    )

    @model_validator(mode="after")
    def _is_one_of_the_shards(self) -> Settings:
        if self.shard >= self.shards:
            raise ValueError(
                f"SHARD is {self.shard}, but with SHARDS={self.shards} the last one is {self.shards - 1}"
            )
        return self

    @cached_property
    def storage_path(self) -> Path:
        """The folder behind STORAGE_URL.

        Raises:
            ValueError: If the URL is not a file URL.
        """
        if not self.storage_url:
            return self.home.absolute() / "storage"
        if not self.storage_url.startswith("file://"):
            raise ValueError(f"REPORTGEN_STORAGE_URL must begin with file://, not {self.storage_url!r}")
        return Path(self.storage_url.removeprefix("file://"))

    @property
    def inbox_bucket(self) -> str:
        """The URL of the prefix behind INBOX; empty if it is a folder."""
        return self.inbox if self.inbox.startswith(BUCKET) else ""

    @property
    def inbox_path(self) -> Path:
        """The folder behind INBOX, unless it is a bucket."""
        return Path(self.inbox).absolute() if self.inbox else self.home.absolute() / "inbox"

    @property
    def dagster_graphql_url(self) -> str:
        """Where the gateway asks Dagster."""
        return f"{(self.dagster_url or f'http://127.0.0.1:{self.dagster_port}').rstrip('/')}/graphql"

    @property
    def dagster_ui_url(self) -> str:
        """Where links into the Dagster UI lead."""
        return (
            self.dagster_public_url or self.dagster_url or f"http://127.0.0.1:{self.dagster_port}"
        ).rstrip("/")

    @property
    def catalog_url(self) -> str:
        """DATABASE_URL for SQLAlchemy with psycopg 3.

        Raises:
            ValueError: If DATABASE_URL is not set (`reportgen up` sets it for the processes that it starts).
        """
        return self._database_url("postgresql+psycopg", "")

    @property
    def dagster_database_url(self) -> str:
        """The database `<name>_dagster` beside the catalog, for dagster-postgres (psycopg 2).

        Raises:
            ValueError: If DATABASE_URL is not set.
        """
        return self._database_url("postgresql+psycopg2", "_dagster")

    def _database_url(self, driver: str, suffix: str) -> str:
        if self.database_url is None:
            raise ValueError("REPORTGEN_DATABASE_URL is not set; `reportgen up` sets it for what it starts")
        from sqlalchemy.engine import make_url  # a third of a second that a report's process does without

        url = make_url(self.database_url.get_secret_value())
        return url.set(drivername=driver, database=f"{url.database}{suffix}").render_as_string(
            hide_password=False
        )

    def environment(self) -> dict[str, str]:
        """Return the environment for a process that is to see these settings, and Dagster's own variables.

        Everything of this process's environment comes along; paths are absolute.
        """
        own = {
            f"REPORTGEN_{name.upper()}": _as_text(value)
            for name, value in self
            if value is not None and value != ""
        }
        own["REPORTGEN_HOME"] = str(self.home.absolute())
        own["REPORTGEN_INBOX"] = self.inbox_bucket or str(self.inbox_path)
        own["DAGSTER_HOME"] = str(self.home.absolute() / "dagster")
        if self.database_url is not None:
            own["REPORTGEN_DAGSTER_DATABASE_URL"] = self.dagster_database_url
        return {**os.environ, **own}


def _as_text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


@contextmanager
def environment_variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for a library that reads them itself while it is loaded."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
