"""What a step is called where people see it: in graphs and in lists of steps. What it does is steps.py's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def label(step: Any) -> str:
    """Return a step's name; one without a name is described in a few words."""
    if step.name:
        return str(step.name)
    body = getattr(step, step.kind)
    reference = getattr(body, "reference", None)
    if reference:
        return f"{step.kind} {reference}"
    if isinstance(body, Mapping):
        return f"{step.kind} {_some(tuple(body))}"
    if step.kind == "aggregate":
        return f"aggregate by {_some(body.by)}" if body.by else "aggregate"
    if step.kind in ("filter", "limit"):
        return f"{step.kind} {_cut(str(body))}"
    if isinstance(body, tuple):
        return f"{step.kind} {_some(body)}"
    return str(step.kind)


def _some(names: Sequence[str]) -> str:
    return _cut(", ".join(names))


def _cut(text: str, longest: int = 40) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
