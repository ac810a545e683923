"""Judges what the parts of a long form mean together, as far as no file is needed.

What belongs here: names, references, parameters, contracts, keys of a step that do not go together. What does not: the shape of
each part (shapes.py), expressions (expressions/gate.py), columns (compiling/).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from reportgen_dagster.contracts.problems import schema_problems
from reportgen_dagster.rules.expressions.faults import nearest as nearest_of
from reportgen_dagster.rules.reading.document import (
    AggregateStep,
    DeriveStep,
    DistinctStep,
    DropStep,
    Input,
    Join,
    JoinStep,
    LongForm,
    Lookup,
    LookupStep,
    Output,
    PivotStep,
    RenameStep,
    SelectStep,
    Step,
    TopStep,
    UnpivotStep,
    WindowStep,
    as_mapping,
)
from reportgen_dagster.rules.reading.parameters import parameter_value
from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.reading.presentation import Presentation
from reportgen_dagster.rules.reading.shapes import Wrong
from reportgen_dagster.rules.reading.steps import references_of

INPUT = "input"
REFERENCE = "reference"
MAX_REFERENCE_NAME = 100
MAX_CANDIDATES = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_REFERENCE_NAME = re.compile(r"\w[\w.-]*")
_PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_KEYS = ("primaryKey", "uniqueKeys", "foreignKeys")

NamedAt = tuple[Path, str, bool]  # path, name, whether the name is the path's key


def nearest(name: str, names: Collection[str]) -> str:
    """Return the hint at the most similar name, unless there are so many that looking for it takes long."""
    return nearest_of(name, names) if len(names) <= MAX_CANDIDATES else ""


def duplicate_names(names: Iterable[NamedAt], sort: str = "column") -> Iterator[Wrong]:
    """Find new names that are blank, hold control characters, or are there twice; case does not make a difference."""
    seen: dict[str, str] = {}
    for path, name, key in names:
        if not name.strip():
            yield Wrong(path, f"the {sort} has no name", key)
        elif _CONTROL.search(name):
            yield Wrong(path, f"the name of the {sort} holds a control character", key)
        elif name.lower() in seen:
            before = seen[name.lower()]
            differs = "" if before == name else f" (as `{before}`; names differ by more than case)"
            yield Wrong(path, f"the {sort} `{name}` is there twice{differs}", key)
        seen.setdefault(name.lower(), name)


def judge_document(document: LongForm, wrong: Collection[Path] = ()) -> Iterator[Wrong]:
    """Find what is wrong with the parts beside the steps.

    Args:
        document: The parts, without what has the wrong shape.
        wrong: Where that was.
    """
    yield from _parameters(document)
    yield from _reference_names(document)
    yield from _contracts(document, wrong)
    if document.output is not None:
        yield from duplicate_names(_output_names(document.output), "output")
        yield from _repeated(("output", "formats"), document.output.formats)
    yield from _presentation(document.presentation)


def judge_references(document: LongForm, steps: Mapping[int, Step]) -> Iterator[Wrong]:
    """Find references in steps and foreign keys that are not there."""
    used: list[tuple[Path, str]] = [
        (("steps", index, step.kind, "reference"), name)
        for index, step in steps.items()
        for name in references_of(step)
    ]
    declared = [*document.references]
    first: dict[str, str] = {name.lower(): name for name in reversed(declared)}
    for path, name in used:
        before = first.setdefault(name.lower(), name)
        if declared and name not in declared and name != REFERENCE:
            hint = nearest(name, declared)
            if hint:
                yield Wrong(path, f"unknown reference `{name}`{hint}")
        elif before != name:
            yield Wrong(path, f"the references `{before}` and `{name}` differ only by case")
        elif name not in declared:
            yield from _bad_reference_name(path, name, key=False)
    yield from _foreign_keys(document, [*declared, *(name for _, name in used), REFERENCE])


def judge_step(index: int, step: Step) -> Iterator[Wrong]:
    """Find what is wrong within a step."""
    path: Path = ("steps", index, step.kind)
    yield from duplicate_names(_new_names(step, path))
    for at, listed in _listed_names(step, path):
        yield from _repeated(at, listed)
    if isinstance(step, LookupStep):
        yield from _lookup(index, step.lookup, path)
    elif isinstance(step, JoinStep):
        yield from _join(step.join, path)
    elif isinstance(step, AggregateStep) and not (step.aggregate.by or step.aggregate.measures):
        yield Wrong(path, "`by` or `measures` is missing")


# the parts beside the steps


def _parameters(document: LongForm) -> Iterator[Wrong]:
    for name, parameter in document.parameters.items():
        path: Path = ("parameters", name)
        if not _PARAMETER_NAME.fullmatch(name):
            message = (
                "the name of a parameter is made of letters, digits and `_`, so that `:name` can be read"
            )
            yield Wrong(path, message, key=True)
        try:
            parameter_value(parameter.type, parameter.default)
        except ValueError as error:
            yield Wrong((*path, "default"), str(error))


def _reference_names(document: LongForm) -> Iterator[Wrong]:
    seen: dict[str, str] = {}
    for name in document.references:
        path: Path = ("references", name)
        yield from _bad_reference_name(path, name, key=True)
        before = seen.setdefault(name.lower(), name)
        if before != name:
            yield Wrong(path, f"the references `{before}` and `{name}` differ only by case", key=True)


def _bad_reference_name(path: Path, name: str, *, key: bool) -> Iterator[Wrong]:
    if name.lower() == INPUT:
        yield Wrong(path, f"`{name}` is the input, not a reference", key)
    elif not _REFERENCE_NAME.fullmatch(name) or len(name) > MAX_REFERENCE_NAME:
        message = f"the name of a reference is made of at most {MAX_REFERENCE_NAME} letters, digits, `_`, `-` and `.`"
        yield Wrong(path, message, key)


def _files(document: LongForm) -> Iterator[tuple[Path, Input]]:
    if document.input is not None:
        yield ("input",), document.input
    for name, file in document.references.items():
        yield ("references", name), file


def _contracts(document: LongForm, wrong: Collection[Path]) -> Iterator[Wrong]:
    described = [(path, file.schema_, file.dialect, False) for path, file in _files(document)]
    if document.output is not None:
        described.append((("output",), document.output.schema_, None, True))
    for path, schema, dialect, is_output in described:
        at: Path = (*path, "schema")
        nameless = any(found[: len(at)] == at and found[-1] == "name" for found in wrong)
        problems = schema_problems(schema, dialect, is_output=is_output) if schema is not None else ()
        for within, message in problems:
            if not (nameless and within[0] in _KEYS):  # which may name that field
                yield Wrong((*at, *within), message)


def _foreign_keys(document: LongForm, known: Sequence[str]) -> Iterator[Wrong]:
    for path, file in _files(document):
        for number, key in enumerate(file.schema_.foreign_keys if file.schema_ else ()):
            name = key.reference.resource
            hint = "" if name in known else nearest(name, known)
            place = (*path, "schema", "foreignKeys", number, "reference", "resource")
            if hint:
                yield Wrong(place, f"unknown reference `{name}`{hint}")
            else:
                yield from _bad_reference_name(place, name, key=False)


def _presentation(presentation: Presentation) -> Iterator[Wrong]:
    for key in ("sort", "totals"):
        listed = getattr(presentation, key)
        if not isinstance(listed, dict):
            yield from _repeated(("presentation", key), listed)
    for number, chart in enumerate(presentation.charts):
        if chart.kind == "pie" and chart.by is not None:
            message = "a pie has no `by`: its slices are the values of `x`"
            yield Wrong(("presentation", "charts", number, "by"), message, key=True)


def _output_names(output: Output) -> Iterator[NamedAt]:
    if output.columns is not None:
        yield from _named(("output", "columns"), output.columns)


# steps


def _named(path: Path, columns: Mapping[str, object] | Sequence[str]) -> list[NamedAt]:
    if isinstance(columns, Mapping):
        return [((*path, name), name, True) for name in columns]
    return [((*path, number), name, False) for number, name in enumerate(columns)]


def _new_names(step: Step, path: Path) -> list[NamedAt]:
    """Return the names that a step gives or puts side by side: no two of them can be one column."""
    if isinstance(step, DeriveStep):
        return _named(path, step.derive)
    if isinstance(step, SelectStep):
        return _named(path, step.select)
    if isinstance(step, RenameStep):
        return [((*path, old), new, False) for old, new in step.rename.items()]
    if isinstance(step, AggregateStep):
        body = step.aggregate
        return [*_named((*path, "by"), body.by), *_named((*path, "measures"), body.measures)]
    if isinstance(step, WindowStep):
        return _named((*path, "columns"), step.window.columns)
    if isinstance(step, UnpivotStep):
        return [((*path, "name"), step.unpivot.name, False), ((*path, "value"), step.unpivot.value, False)]
    if isinstance(step, (LookupStep, JoinStep)):
        taken = step.lookup.take if isinstance(step, LookupStep) else step.join.take
        return _named((*path, "take"), taken or ())
    return []


def _listed_names(step: Step, path: Path) -> list[tuple[Path, Sequence[str]]]:
    """Return the lists of names in which none stands twice."""
    if isinstance(step, DropStep):
        return [(path, step.drop)]
    if isinstance(step, DistinctStep) and step.distinct is not True:
        return [(path, step.distinct)]
    if isinstance(step, WindowStep):
        return [((*path, key), getattr(step.window, key)) for key in ("partition_by", "order_by")]
    if isinstance(step, TopStep):
        return [((*path, key), getattr(step.top, key)) for key in ("by", "per")]
    if isinstance(step, UnpivotStep):
        return [((*path, "columns"), step.unpivot.columns)]
    if isinstance(step, PivotStep):
        return [((*path, "by"), step.pivot.by), ((*path, "columns"), step.pivot.columns or ())]
    return []


def _repeated(path: Path, names: Sequence[str]) -> Iterator[Wrong]:
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            yield Wrong((*path, number), f"`{name}` is there twice")
        seen.add(name)


def _lookup(index: int, body: Lookup, path: Path) -> Iterator[Wrong]:
    if body.match == "shared":
        yield from _shared_lookup(index, body, path)
    elif body.defaults == "standard":
        yield Wrong(
            (*path, "defaults"),
            "`standard` defaults go with `match: shared`; write each column with its default",
        )
    elif body.defaults is not None:
        yield from _defaults(body, path, body.defaults)


def _shared_lookup(index: int, body: Lookup, path: Path) -> Iterator[Wrong]:
    if index:
        yield Wrong((*path, "match"), "`match: shared` stands only in the first step; name the columns here")
    if body.defaults != "standard":
        yield Wrong((*path, "match"), "`match: shared` needs `defaults: standard`")
    for name in ("take", "missing", "duplicates"):
        if name in body.model_fields_set and getattr(body, name) not in (None, "default", "error"):
            yield Wrong(
                (*path, name),
                f"`{name}` does not go with `match: shared`; name the columns of `match`",
                key=True,
            )


def _defaults(body: Lookup, path: Path, defaults: Mapping[str, object]) -> Iterator[Wrong]:
    if body.missing != "default":
        message = f"`defaults` fill rows without a match, which `missing: {body.missing}` does not keep"
        yield Wrong((*path, "defaults"), message, key=True)
    taken = None if body.take is None else as_mapping(body.take)
    for name in defaults:
        if taken is not None and name not in taken:
            hint = nearest(name, taken) or "; `take` does not add it"
            yield Wrong((*path, "defaults", name), f"unknown column `{name}`{hint}", key=True)


def _join(body: Join, path: Path) -> Iterator[Wrong]:
    if body.how in ("semi", "anti") and body.take:
        yield Wrong((*path, "take"), f"`how: {body.how}` only chooses rows; it takes no columns", key=True)
