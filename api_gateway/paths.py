"""Paths of resources: the parts that several have (a thing's name, a version's number), and writing a path for a header."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Path

MAX_VERSION = 2**31 - 1

NamePath = Annotated[
    str,
    Path(description="What its owner calls it: 1 to 100 characters, and no slash.", examples=["margin"]),
]
VersionPath = Annotated[int, Path(ge=1, le=MAX_VERSION, description="1, 2, 3 ... within it.", examples=[3])]


def path_of(*parts: str | int) -> str:
    """Return where a resource of the API is, whatever characters names have.

    >>> path_of("datasets", "Desk margin", "versions", 3)
    '/api/v1/datasets/Desk%20margin/versions/3'
    """
    return "/".join(["/api/v1", *(quote(str(part), safe="") for part in parts)])
