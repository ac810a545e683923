"""The embedded PostgreSQL: where its programs are, its data folder, how it is started and reached.

It listens on one Unix socket inside its private data folder and on no network address. It works in that folder and is told so
relatively (`/proc/self/cwd`): a server that gave up root's rights needs no rights on the folders above.
Databases and tables belong in `prepare.py` and the catalog.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from reportgen_dagster.catalog.dumps import MAJOR_VERSION, PACKAGE, package_folder
from reportgen_dagster.errors import ServiceError
from reportgen_dagster.supervisor.children import Account, Program
from reportgen_dagster.supervisor.processes import SERVERS, kill_until_none, servers_in

ACCOUNT_NAME = "pgserver"
DATABASE = "reportgen"

_HERE = "/proc/self/cwd"
_SOCKET = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH = 100
_SHARED_COPY = Path("/var/cache/reportgen")
_EXECUTABLE_BY_ALL = 0o001
_INITDB = (
    *("initdb", "-D", _HERE, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"),
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
)
_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "max_connections": "200",
    "jit": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "",
    "log_min_messages": "warning",
}


class EmbeddedPostgres:
    """A PostgreSQL server whose data lies in a home."""

    name = "postgres"

    def __init__(self, home: Path) -> None:
        """Name the server; nothing is touched.

        Args:
            home: The installation's folder, absolute.
        """
        self._home = home
        self.data = home / SERVERS[self.name][1]
        self._folder = self.data.parent

    @property
    def url(self) -> str:
        """The catalog's database on this server, as `REPORTGEN_DATABASE_URL` wants it."""
        return f"postgresql://postgres@/{DATABASE}?host={quote(str(self.socket_folder()), safe='')}"

    def make(self) -> None:
        """Make the data folder if there is none; an interrupted making is begun again.

        Raises:
            ServiceError: If PostgreSQL refuses, or the folder is of another major version.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        version_file = self.data / "PG_VERSION"
        if version_file.exists():
            found = version_file.read_text().strip()
            if found != MAJOR_VERSION:
                raise ServiceError(
                    f"the home's database was made by PostgreSQL {found}, this release brings {MAJOR_VERSION}",
                    hint="See docs/operating.md, Upgrading.",
                )
            return
        fresh = self.data.with_name("data.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        account = self._account(fresh)
        if account is not None:
            os.chown(fresh, account.user, account.group)
        _initialise(fresh, account)
        fresh.rename(self.data)

    def program(self, environment: Mapping[str, str]) -> Program:
        """Return how the server is started; `make` comes first."""
        options = [word for name, value in _OPTIONS.items() for word in ("-c", f"{name}={value}")]
        return Program(
            name=self.name,
            command=[str(_programs() / "postgres"), "-D", _HERE, *options],
            environment=environment,
            folder=self.data,
            stop_signal=signal.SIGINT,  # a "fast" shutdown: sessions are ended, everything is written
            account=self._account(self.data),
            clear=self.clear,
        )

    def clear(self) -> None:
        """End the backends of a server that died, and remove the files that would stop the next one."""
        kill_until_none(lambda: servers_in(self._home, self.name))
        for left_over in ("postmaster.pid", f"{_SOCKET}.lock"):
            (self.data / left_over).unlink(missing_ok=True)
        self.socket_folder()

    def is_ready(self, pid: int | None) -> bool:
        """Tell whether the server of this process id accepts connections, as `pg_ctl` finds out."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def socket_folder(self) -> Path:
        """Return a folder through which the socket is reached, short enough for a socket's address.

        Raises:
            ServiceError: If somebody else holds the name in the system's temporary folder.
        """
        if len(os.fsencode(self.data / _SOCKET)) <= _LONGEST_SOCKET_PATH:
            return self.data
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        private = Path(tempfile.gettempdir()) / f"reportgen-{digest}"
        private.mkdir(mode=0o700, exist_ok=True)
        status = private.lstat()
        if private.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise ServiceError(
                "the temporary folder for the database's socket belongs to somebody else",
                hint="Choose a REPORTGEN_HOME with a shorter path.",
            )
        link = private / "pg"
        if not link.is_symlink():
            link.symlink_to(self.data)
        return link

    def _account(self, folder: Path) -> Account | None:
        """Return whom PostgreSQL runs as; it refuses to run as root."""
        if os.geteuid() != 0:
            return None
        status = folder.stat()
        if status.st_uid != 0:
            return Account(status.st_uid, status.st_gid)
        return _system_account()


def _initialise(folder: Path, account: Account | None) -> None:
    done = subprocess.run(  # noqa: S603 - a program of our own dependency, fixed arguments
        [str(_programs() / _INITDB[0]), *_INITDB[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        user=None if account is None else account.user,
        group=None if account is None else account.group,
        extra_groups=None if account is None else (),
    )
    if done.returncode != 0:
        raise ServiceError(f"PostgreSQL cannot make its data folder: {done.stderr.strip()[-500:]}")


def _system_account() -> Account:
    """Return the account for PostgreSQL under root, made if it is missing."""
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
        try:
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - fixed words
            entry = pwd.getpwnam(ACCOUNT_NAME)
        except (OSError, subprocess.CalledProcessError, KeyError) as error:
            raise ServiceError(
                f"PostgreSQL does not run as root, and the system account {ACCOUNT_NAME} cannot be made",
                hint="Run reportgen as another user than root.",
            ) from error
    return Account(entry.pw_uid, entry.pw_gid)


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs, one that the account it runs as can read."""
    package = package_folder()
    if os.geteuid() == 0 and not _everybody_may_enter(package):
        package = _copy_for_everybody(package)
    return package / f"pginstall{MAJOR_VERSION}" / "bin"


def _everybody_may_enter(folder: Path) -> bool:
    return all(place.stat().st_mode & _EXECUTABLE_BY_ALL for place in (folder, *folder.parents))


def _copy_for_everybody(package: Path) -> Path:
    """Copy PostgreSQL's files out of a folder that only root may enter; its rights stay as they are."""
    target = _SHARED_COPY / f"{PACKAGE}-{version(PACKAGE)}"
    if not target.exists():
        _SHARED_COPY.mkdir(parents=True, exist_ok=True)
        _SHARED_COPY.chmod(0o755)
        fresh = Path(tempfile.mkdtemp(dir=_SHARED_COPY))
        install = Path(PACKAGE) / f"pginstall{MAJOR_VERSION}"
        shutil.copytree(package.parent / install, fresh / install, symlinks=True)
        libraries = package.with_name(f"{PACKAGE}.libs")
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name)
        for place in (fresh, fresh / PACKAGE):
            place.chmod(0o755)
        try:
            fresh.rename(target)
        except OSError:  # another start was faster
            shutil.rmtree(fresh)
    return target / PACKAGE
