"""A home whose service does not run is backed up, and restored into another.

`python -m tests.soak.rest`: makes a home with an embedded server, backs it up by `reportgen backup` into one file, restores
that by `reportgen restore` into an empty home, and tries once more, which must be refused. Exits with 1 if something is wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from reportgen_dagster.catalog.session import migrate
from reportgen_dagster.services import accounts, uploads
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.at_rest import at_rest
from reportgen_dagster.supervisor.prepare import make_database
from reportgen_dagster.supervisor.processes import servers_in
from tests.stack import REPORTGEN


def main(_argv: list[str]) -> int:
    """Run the rig and return the exit code."""
    with tempfile.TemporaryDirectory(prefix="rg-soak-") as folder:
        wrong = list(_scene(Path(folder)))
    for told in wrong:
        print("WRONG", told)
    return 1 if wrong else 0


def _scene(folder: Path) -> Iterator[str]:
    old, new, file = folder / "old", folder / "new", folder / "backup.tar"
    stored = _filled(old)
    made = _typed(old, "backup", str(file), "--key")
    if made.returncode or json.loads(made.stdout)["copied"] != 1:
        yield f"backup: {made.stdout}{made.stderr}"
    if file.stat().st_mode & 0o077:
        yield "others may read the backup"
    restored = _typed(new, "restore", str(file))
    if restored.returncode or json.loads(restored.stdout)["files"] != 1:
        yield f"restore: {restored.stdout}{restored.stderr}"
    if (new / "secret_key").read_text() != (old / "secret_key").read_text():
        yield "the key is another one"
    if not (new / "storage" / "blobs" / stored[:2] / stored).is_file():
        yield "the file is not there"
    again = _typed(new, "restore", str(file))
    if again.returncode != 2 or "not empty" not in again.stderr:
        yield f"a second restore is not refused: {again.stdout}{again.stderr}"
    yield from (f"a server is left in {home.name}" for home in (old, new) if servers_in(home))


def _filled(home: Path) -> str:
    """Make a home with one account and one file; return the file's digest."""
    with at_rest(Settings(home=home)) as settings:
        make_database(settings.catalog_url)
        migrate(settings.catalog_url)
        context = Context.open(settings)
        user = accounts.register(context, email="ann@example.com", name="Ann", password="pass123").user
        upload = uploads.receive(context, "input.csv", [b"a,b\n1,2\n"], role="input")
        uploads.accept_files(context, user.id, {"input": upload})
        context.close()
    return upload.stored.digest


def _typed(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    began = time.monotonic()
    environment = {name: text for name, text in os.environ.items() if not name.startswith("REPORTGEN_")}
    done = subprocess.run(
        [REPORTGEN, *words, "--json"],
        env={**environment, "REPORTGEN_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    print(f"{words[0]}: exit code {done.returncode} after {time.monotonic() - began:.1f} s")
    return done


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
