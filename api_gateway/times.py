"""Moments that clients tell: RFC 3339 texts, and not the numbers that also pass for times elsewhere."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

_BEGINS = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]")


def _as_text(told: object) -> object:
    if isinstance(told, str) and not _BEGINS.match(told):
        raise ValueError("a time by RFC 3339 is expected, as 2026-11-29T06:00:00Z")
    return told


Moment = Annotated[AwareDatetime, BeforeValidator(_as_text)]
