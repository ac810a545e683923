"""Parts of paths that several resources have: the name of a thing, and the number of a version."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

MAX_VERSION = 2**31 - 1

NamePath = Annotated[
    str,
    Path(description="What its owner calls it: 1 to 100 characters, and no slash.", examples=["margin"]),
]
VersionPath = Annotated[int, Path(ge=1, le=MAX_VERSION, description="1, 2, 3 ... within it.", examples=[3])]
