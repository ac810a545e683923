"""Looking at this machine: Python and packages, the home and its rights, ports, what the kernel offers."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from reportgen_dagster.errors import ConflictError
from reportgen_dagster.services import isolation
from reportgen_dagster.services.keys import FILES
from reportgen_dagster.settings import MINIMUM_SECRET_BYTES, Settings
from reportgen_dagster.supervisor.doctor.findings import Finding, fine, not_running, problem, warning
from reportgen_dagster.supervisor.home import Home
from reportgen_dagster.supervisor.ports import refuse_taken_ports

LEAST_FREE_BYTES = 1000**3  # less is soon full
NO_ROOM_BYTES = 100 * 1000**2  # less takes no upload
_OF_OTHERS = 0o077


def python(_settings: Settings) -> Iterator[Finding]:
    """Look whether Python and the packages are those that the release was made for."""
    release = metadata.metadata("reportgen")
    found = ".".join(map(str, sys.version_info[:3]))
    wanted = release["Requires-Python"]
    if not SpecifierSet(wanted).contains(found):
        yield problem(
            "python", f"Python {found} runs, {wanted} is needed", "Install it and make the environment anew."
        )
    wrong = [told for text in metadata.requires("reportgen") or () if (told := _mismatch(Requirement(text)))]
    for told in wrong:
        yield problem("python", told, "Install the release anew with its lock file, as `make setup` does.")
    if not wrong:
        yield fine("python", f"Python {found}, reportgen {release['Version']}, its packages fit")


def _mismatch(wanted: Requirement) -> str:
    if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
        return ""
    try:
        found = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return f"the package {wanted.name} is missing"
    fits = wanted.specifier.contains(found, prereleases=True)
    return "" if fits else f"the package {wanted.name} is {found}, {wanted.specifier} is needed"


def home(settings: Settings) -> Iterator[Finding]:
    """Look whether the home can be written, is private and has room."""
    path = settings.home.absolute()
    if not path.exists():
        yield fine("home", f"{path} is made at the first start")
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield problem("home", f"{path} cannot be written", "Give it to the account that runs the service.")
        return
    if path.stat().st_mode & _OF_OTHERS:
        mode = stat.filemode(path.stat().st_mode)
        yield problem("home", f"others may look into {path} ({mode})", f"chmod 700 {path}")
    free = shutil.disk_usage(settings.storage_path if settings.storage_path.exists() else path).free
    words = f"{free / 1000**3:,.1f} GB are free for files"
    cure = "Make room, move storage/ (`reportgen storage migrate`), or set REPORTGEN_RETENTION_DAYS."
    if free < NO_ROOM_BYTES:
        yield problem("home", words, cure)
    elif free < LEAST_FREE_BYTES:
        yield warning("home", words, cure)
    else:
        yield fine("home", f"{path}: {words}")


def secrets(settings: Settings) -> Iterator[Finding]:
    """Look whether the key of tokens and the secrets of deliveries are there and private."""
    key, several = (settings.home.absolute() / name for name in FILES)
    folder = settings.home.absolute() / "secrets"
    files = [
        path for path in (key, several, *(folder.iterdir() if folder.is_dir() else ())) if path.is_file()
    ]
    for path in files:
        if path.stat().st_mode & _OF_OTHERS:
            yield problem("secrets", f"others may read {path}", f"chmod 600 {path}")
    if settings.secret_key is not None:
        yield fine("secrets", "tokens are signed with REPORTGEN_SECRET_KEY")
    elif several.exists():
        yield fine("secrets", "tokens are signed with the newest of the home's signing_keys.json")
    elif not key.exists():
        yield fine("secrets", "secret_key is made at the first start")
    elif _is_short(key):
        yield problem(
            "secrets",
            f"{key} holds less than {MINIMUM_SECRET_BYTES} bytes",
            "Remove it; the next start makes one.",
        )
    else:
        yield fine("secrets", "tokens are signed with the home's secret_key")


def _is_short(key: Path) -> bool:
    return len(key.read_bytes().strip()) < MINIMUM_SECRET_BYTES


def ports(settings: Settings) -> Iterator[Finding]:
    """Look whether somebody else has the ports; while the service runs they are its own."""
    if Home(settings.home).runtime() is not None:
        yield fine("ports", "the service has them")
        return
    try:
        refuse_taken_ports(settings)
    except ConflictError as error:
        for one in error.problems:
            yield problem("ports", str(one), error.hint)
    else:
        yield fine(
            "ports", f"{settings.port}, {settings.dagster_port} and {settings.code_server_port} are free"
        )


def kernel(_settings: Settings) -> Iterator[Finding]:
    """Look whether the kernel offers all that runs are isolated by."""
    found = isolation.warnings()
    for told in found:
        yield warning("isolation", told, "Run on a kernel of 5.13 or later, in a container that allows it.")
    if not found:
        yield fine("isolation", "the kernel has Landlock and seccomp filters")


def up(settings: Settings) -> Iterator[Finding]:
    """Look whether `reportgen up` runs on the home."""
    runtime = Home(settings.home).runtime()
    yield fine("up", f"runs as process {runtime.pid}") if runtime else not_running("up")
