"""The settings of every process, one typed object. The only place that reads the environment.

Each field is the environment variable `REPORTGEN_<FIELD>`; `docs/settings.md` is made from this file.
"""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from reportgen_dagster.placeholders import free_characters
from reportgen_dagster.sizes import byte_count

MINIMUM_SECRET_BYTES = 32
BUCKET = "s3://"
SECRET_PREFIX = "REPORTGEN_SECRET_"  # noqa: S105 - of variables that hold the secrets of deliveries
_MAKE_ONE = "make one with: openssl rand -hex 32"
COPY_SCHEMES = ("s3", "gs", "file")
_FREE_OF_PASSWORD = 4
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
SMTP_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_PATH = re.compile(r"(/[A-Za-z0-9_-]+)*")
_HOST_NAME = re.compile(r"([a-z0-9_-]{1,63}\.)*(?![0-9]+$)[a-z0-9_-]{1,63}")
FOLDER = "file://"
STORES = (FOLDER, BUCKET, "gs://")


def _strong(secret: SecretStr | None) -> SecretStr | None:
    """Refuse a signing key that is short, has hardly any variety, or is a placeholder."""
    if secret is not None:
        text = secret.get_secret_value()
        if len(text.encode()) < MINIMUM_SECRET_BYTES or len(set(text)) < MINIMUM_SECRET_BYTES // 4:
            raise ValueError(f"must be at least {MINIMUM_SECRET_BYTES} random bytes; {_MAKE_ONE}")
        if free_characters(text) < MINIMUM_SECRET_BYTES // 2:
            raise ValueError(f"is made of common words, sequences or repetitions; {_MAKE_ONE}")
    return secret


def _strong_or_none(secret: SecretStr | None) -> SecretStr | None:
    """Likewise of a key that there may not be; empty is none."""
    return _strong(secret) if secret is not None and secret.get_secret_value() else None


def _server(url: SecretStr | None) -> SecretStr | None:
    """Refuse a server of other machines whose password is a placeholder; on this one it may be for trying out."""
    if url is not None:
        parts = urlsplit(url.get_secret_value())
        is_elsewhere = bool(parts.hostname) and parts.hostname not in _LOOPBACK
        if is_elsewhere and parts.password and free_characters(unquote(parts.password)) < _FREE_OF_PASSWORD:
            raise ValueError(f"has a password that is short or well known; {_MAKE_ONE}")
    return url


def _byte_size(text: str) -> str:
    """Refuse what is not a whole number with B, KB, MB or GB."""
    byte_count(text)
    return text


def _inbox(place: str) -> str:
    """Refuse a URL that is not of a bucket."""
    if "://" in place and not place.startswith(BUCKET):
        raise ValueError(f"must be a folder or begin with {BUCKET}")
    return place


def _smtp(url: str) -> str:
    """Refuse what is no address of a mail server, and one with a password."""
    parts = _split(url)
    if url and (parts.scheme != "smtp" or not parts.hostname or parts.path or parts.query):
        raise ValueError("must be as smtp://user@host:587")
    if parts.password is not None:
        raise ValueError("must have no password; that belongs into REPORTGEN_SMTP_PASSWORD")
    return url


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    _ = parts.port  # which alone looks whether it is a number
    return parts


def _address(text: str) -> str:
    """Refuse what is no e-mail address."""
    from email_validator import EmailNotValidError, validate_email

    try:
        found = validate_email(text, check_deliverability=False, allow_smtputf8=False) if text else None
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    return (found.ascii_email or text) if found else text


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


def _networks(text: str) -> str:
    """Refuse a list in which something is no network."""
    for one in _listed(text):
        if _network(one) is None:
            raise ValueError(f"{one!r} is no address and no network such as 10.1.0.0/16")
    return text


def _hosts(text: str) -> str:
    """Refuse a list in which something is neither the name of a host nor a network."""
    for one in _listed(text):
        if _network(one) is None and not _HOST_NAME.fullmatch(one.lower()):
            raise ValueError(f"{one!r} is neither a host nor a network such as 10.1.0.0/16")
    return text


def _copy_targets(text: str) -> str:
    """Refuse a list in which something is no URL of a bucket or folder."""
    for url in _listed(text):
        parts = urlsplit(url)
        is_place = parts.path.startswith("/") and not parts.netloc if parts.scheme == "file" else parts.netloc
        if parts.scheme not in COPY_SCHEMES or not is_place:
            raise ValueError(f"{url!r} is none of s3://bucket/prefix, gs://bucket/prefix, file:///folder")
    return text


def _storage(url: str) -> str:
    """Refuse a URL of no store, and one that could carry a secret."""
    if not url:
        return url
    parts = urlsplit(url)
    if not url.startswith(STORES):
        raise ValueError(f"must begin with {', '.join(STORES[:-1])} or {STORES[-1]}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be nothing but a place; credentials have variables of their own")
    if url.startswith(FOLDER) and not (parts.path.startswith("/") and not parts.netloc):
        raise ValueError(f"must name a folder, as {FOLDER}/path")
    if not url.startswith(FOLDER) and not parts.netloc:
        raise ValueError("must name a bucket, as s3://bucket/prefix")
    return url


def _path(text: str) -> str:
    """Refuse what is no path of plain names, and a slash at its end."""
    if not _PATH.fullmatch(text):
        raise ValueError("must be as /dagster")
    return text


ByteSize = Annotated[str, AfterValidator(_byte_size)]


class Settings(BaseSettings):
    """What a process of reportgen can be told. Frozen; build it with `Settings()` where a process starts."""

    model_config = SettingsConfigDict(
        env_prefix="REPORTGEN_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    home: Path = Field(Path(".reportgen"), description="Folder of everything that this installation keeps.")
    host: str = Field("127.0.0.1", description="Address that the gateway listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port of the gateway.")
    dagster_port: int = Field(3000, ge=1, le=65535, description="Port of the Dagster UI, on loopback only.")
    dagster_path: Annotated[str, AfterValidator(_path)] = Field(
        "", description="Path that the Dagster UI lies under, as /dagster behind a proxy; empty: none."
    )
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
        "", description="Address of the Dagster webserver; empty: loopback, DAGSTER_PORT and DAGSTER_PATH."
    )
    public_url: str = Field(
        "",
        description="Address of the API as its users reach it, for links; empty: paths, and in the UI of `up` this machine.",
    )
    dagster_public_url: str = Field(
        "", description="Address of the Dagster UI as operators reach it, for links; empty: DAGSTER_URL."
    )
    database_url: Annotated[SecretStr | None, AfterValidator(_server)] = Field(
        None,
        description="The catalog's PostgreSQL, as postgresql://user:password@host/name; empty: an embedded server."
        " Dagster's storage is the database <name>_dagster beside it.",
    )
    broker_url: Annotated[SecretStr | None, AfterValidator(_server)] = Field(
        None, description="Valkey or Redis for Celery, as redis://host:6379/0; empty: an embedded server."
    )
    storage_url: Annotated[str, AfterValidator(_storage)] = Field(
        "",
        description="Where files are kept: file:///path, or s3://bucket/prefix or gs://bucket/prefix with the usual"
        " AWS_... or GOOGLE_... variables. Empty: HOME/storage.",
    )
    inbox: Annotated[str, AfterValidator(_inbox)] = Field(
        "",
        description="The watched inbox: a folder, or s3://bucket/prefix with the usual AWS_... variables. Files in"
        " <user>/<dataset>/ in it become versions of that dataset. Empty: HOME/inbox.",
    )
    secret_key: Annotated[SecretStr | None, AfterValidator(_strong)] = Field(
        None, description="Signs access tokens; empty: made on first start and kept in HOME/secret_key."
    )
    secret_key_previous: Annotated[SecretStr | None, AfterValidator(_strong_or_none)] = Field(
        None,
        description="A second key whose tokens are believed, while SECRET_KEY is changed; empty: there is none.",
    )
    password_policy: Literal["compat", "strict"] = Field(
        "compat",
        description="Which new passwords are taken: `compat` from 6 characters on, as the replaced service did; `strict` from 15"
        " on, and none that is easily thought of.",
    )
    registrations_per_hour: int = Field(
        10, ge=1, description="Accounts that may be made from one address within an hour."
    )
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        "",
        description="Addresses and networks of our own proxies, with commas between; from these alone X-Forwarded-For is"
        " believed. Empty: there are none.",
    )
    audit_retention_days: int = Field(365, ge=30, description="Days that events of the audit are kept.")
    workers: int = Field(2, ge=1, le=64, description="Reports that run at the same time on this machine.")
    runs_per_user: int = Field(
        0,
        ge=0,
        description="Reports of one user that run at the same time, where the user has no number of their own;"
        " 0: as many as WORKERS.",
    )
    memory_limit: ByteSize = Field(
        "1GB",
        description="Memory of one run for DuckDB's buffers; it takes about 300 MB more, 500 MB for a PDF.",
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
    stored_bytes_per_user: int = Field(
        1000**4,
        ge=0,
        description="Bytes that one user may have in storage, reports and rules among them; 0: no bound.",
    )
    files_per_user: int = Field(
        1_000_000,
        ge=0,
        description="Files that one user may have, each a version of a dataset, those of single runs among them; 0: no bound.",
    )
    open_uploads_per_user: int = Field(
        100, ge=0, description="Resumable uploads that one user may have open at the same time; 0: no bound."
    )
    queued_runs_per_user: int = Field(
        10_000,
        ge=0,
        description="Runs of one user that may wait before further ones are refused, but for schedules; 0: no bound.",
    )
    smtp_url: Annotated[str, AfterValidator(_smtp)] = Field(
        "", description="Mail server that takes our e-mails, as smtp://user@host:587; empty: none is sent."
    )
    smtp_password: SecretStr | None = Field(
        None, description="Password of the user in SMTP_URL; empty: the secret `smtp_password`."
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="How the connection to it is kept from others: `starttls` (port 587 unless SMTP_URL says another one),"
        " `tls` (465), or `none` (25), which allows no user.",
    )
    smtp_sender: Annotated[str, AfterValidator(_address)] = Field(
        "", description="Address that our e-mails come from."
    )
    attachment_limit: ByteSize = Field(
        "10MB", description="Files that an e-mail brings along, together; of what is beyond it has links."
    )
    webhook_hosts: Annotated[str, AfterValidator(_hosts)] = Field(
        "",
        description="Hosts and networks, with commas between, that webhooks may reach although they are not public, and by"
        " http:// too, as hooks.internal, 10.1.0.0/16.",
    )
    copy_targets: Annotated[str, AfterValidator(_copy_targets)] = Field(
        "",
        description="Where copies of reports may go, with commas between, as s3://bucket/prefix, gs://bucket,"
        " file:///srv/reports. Empty: into any bucket that the service may write to, and into no folder.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Log lines as `text` for people or, one object a line, as `json` for programs."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level of our own log lines."
    )
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

    @model_validator(mode="after")
    def _sends_no_password_in_the_clear(self) -> Settings:
        if self.smtp_security == "none" and urlsplit(self.smtp_url).username is not None:
            raise ValueError("SMTP_URL has a user; SMTP_SECURITY=none would send the password in the clear")
        return self

    @property
    def storage_path(self) -> Path:
        """The folder behind STORAGE_URL; of a bucket that of the scratch."""
        if self.storage_url.startswith(FOLDER):
            return Path(self.storage_url.removeprefix(FOLDER))
        return self.home.absolute() / "storage"

    @property
    def inbox_bucket(self) -> str:
        """The URL of the prefix behind INBOX; empty if it is a folder."""
        return self.inbox if self.inbox.startswith(BUCKET) else ""

    @property
    def inbox_path(self) -> Path:
        """The folder behind INBOX, unless it is a bucket."""
        return Path(self.inbox).absolute() if self.inbox else self.home.absolute() / "inbox"

    @property
    def smtp_server(self) -> tuple[str, int, str]:
        """Host, port and user of SMTP_URL; the user may be empty."""
        parts = urlsplit(self.smtp_url)
        return (
            parts.hostname or "",
            parts.port or SMTP_PORTS[self.smtp_security],
            unquote(parts.username or ""),
        )

    @property
    def proxy_networks(self) -> list[IPv4Network | IPv6Network]:
        """The networks of TRUSTED_PROXIES."""
        return [network for one in _listed(self.trusted_proxies) if (network := _network(one)) is not None]

    @property
    def webhook_names(self) -> frozenset[str]:
        """The hosts of WEBHOOK_HOSTS that are names, in lower case."""
        return frozenset(one.lower() for one in _listed(self.webhook_hosts) if _network(one) is None)

    @property
    def webhook_networks(self) -> list[IPv4Network | IPv6Network]:
        """The networks of WEBHOOK_HOSTS."""
        return [network for one in _listed(self.webhook_hosts) if (network := _network(one)) is not None]

    @property
    def copy_prefixes(self) -> list[str]:
        """The URLs of COPY_TARGETS, without a slash at their end."""
        return [url.rstrip("/") for url in _listed(self.copy_targets)]

    def secret_variable(self, name: str) -> str | None:
        """Return the variable REPORTGEN_SECRET_<NAME>; the rest of a secret's story is `services/secrets.py`."""
        return os.environ.get(f"{SECRET_PREFIX}{name.upper()}")

    def secret_values(self) -> list[str]:
        """Return every secret that this process was told, so that none gets into a log."""
        told = [self.secret_key, self.smtp_password]
        urls = [one.get_secret_value() for one in (self.database_url, self.broker_url) if one is not None]
        named = [text for name, text in os.environ.items() if name.startswith(SECRET_PREFIX)]
        passwords = [unquote(found) for url in urls if (found := urlsplit(url).password)]
        return [*(one.get_secret_value() for one in told if one is not None), *urls, *passwords, *named]

    @property
    def traces_are_wanted(self) -> bool:
        """Whether OpenTelemetry's own variables say where traces go."""
        names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        return any(os.environ.get(name) for name in names)

    @property
    def dagster_graphql_url(self) -> str:
        """Where the gateway asks Dagster."""
        return f"{(self.dagster_url or self._local_dagster_url).rstrip('/')}/graphql"

    @property
    def dagster_ui_url(self) -> str:
        """Where links into the Dagster UI lead."""
        return (self.dagster_public_url or self.dagster_url or self._local_dagster_url).rstrip("/")

    @property
    def _local_dagster_url(self) -> str:
        return f"http://127.0.0.1:{self.dagster_port}{self.dagster_path}"

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
