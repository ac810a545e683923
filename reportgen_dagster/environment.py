"""Environment variables beside settings: for a library that reads them itself while it is loaded, and those of the client.

What the service reads is settings.py's, whose libraries the client's commands would load for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


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


def service_variables() -> tuple[str | None, str | None]:
    """Return REPORTGEN_URL and REPORTGEN_TOKEN: which service the client's commands ask, and by which token."""
    return os.environ.get("REPORTGEN_URL") or None, os.environ.get("REPORTGEN_TOKEN") or None
