"""The formats that reports are made in: their names, how their files end, what they are to HTTP. And what rules are written in.

What belongs here: what rules, engine, catalog and gateway all have to know of a format. What does not: how a file is written
(engine/writers/, engine/pages/).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

Syntax = Literal["yaml", "json"]  # in this order everywhere: `typing` keeps whichever comes first for both
Format = Literal["csv", "json", "ndjson", "parquet", "xlsx", "html", "pdf"]
FORMATS: tuple[Format, ...] = get_args(Format)
PAGES: tuple[Format, ...] = ("html", "pdf")  # for people; the others hold every row
DEFAULT_FORMATS: tuple[Format, ...] = ("csv",)
GZIP_TYPE = "application/gzip"

_MEDIA_TYPES: dict[str, str] = {
    "csv": "text/csv",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "pdf": "application/pdf",
}
_BY_ENDING: dict[str, Format] = {**{name: name for name in FORMATS}, "jsonl": "ndjson", "htm": "html"}
_PACKABLE: tuple[Format, ...] = ("csv", "json", "ndjson")
_PACKED = ".gz"


def media_type(format: str, *, packed: bool = False) -> str:  # noqa: A002 - the word of the language
    """Return what a report's file is to HTTP."""
    return GZIP_TYPE if packed else _MEDIA_TYPES[format]


def file_name(stem: str, format: str, *, packed: bool = False) -> str:  # noqa: A002 - the word of the language
    """Return what a report's file is called."""
    return f"{stem}.{format}{_PACKED if packed else ''}"


def is_packed_name(name: str) -> bool:
    """Tell whether a file is packed, by its name."""
    return name.lower().endswith(_PACKED)


def format_of(name: str) -> Format | None:
    """Return the format that the name of a file asks for; None if it asks for none."""
    found = _BY_ENDING.get(name.lower().removesuffix(_PACKED).rpartition(".")[2])
    return None if is_packed_name(name) and found not in _PACKABLE else found


def known_formats(names: Iterable[str]) -> tuple[Format, ...]:
    """Return names of formats, each once, in order.

    Raises:
        ValueError: If one is unknown; it tells what there is.
    """
    found = tuple(dict.fromkeys(names))
    if unknown := [name for name in found if name not in FORMATS]:
        raise ValueError(f"{', '.join(unknown)}: there is no such format; there are {', '.join(FORMATS)}")
    return tuple(known for name in found for known in FORMATS if known == name)
