"""The work of the confined process that looks at one stored file. Also a program, for processes that cannot fork.

A request is plain data: file, columns, work, limits. What belongs here: reading it and telling the profile. What does not: the
catalog, which this process cannot reach.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from reportgen_dagster.engine import confined
from reportgen_dagster.engine.confined import ConfinedProcess, Tell
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.profile import profile_file


def start(request: Mapping[str, Any]) -> ConfinedProcess:
    """Start the process that looks at the file of a request."""
    if confined.can_fork():
        return ConfinedProcess.forked(partial(look, request), **_bounds(request))
    return ConfinedProcess.spawned(__name__, request, limits=Limits(**request["limits"]))


def look(request: Mapping[str, Any], tell: Tell) -> None:
    """Look at the file; tell {"profile": a `Profile`'s members}. Rows that cannot be read are in `work` then."""
    profile = profile_file(
        Path(request["file"]),
        work=Path(request["work"]),
        limits=Limits(**request["limits"]),
        columns=request["columns"],
    )
    tell({"profile": profile.to_json()})


def _bounds(request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "limits": Limits(**request["limits"]),
        "reads": [Path(request["file"])],
        "writes": [Path(request["work"])],
    }


def main() -> None:
    """Look at the file of the request that comes in."""
    request = json.loads(sys.stdin.readline())
    channel = socket.socket(fileno=sys.stdout.fileno())
    confined.carry_out(partial(look, request), channel, **_bounds(request))


if __name__ == "__main__":
    main()
