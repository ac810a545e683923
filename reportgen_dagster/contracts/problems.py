"""What is wrong with a schema by itself: everything that can be told without its file.

What belongs here: judging one schema. What does not: its shape (models.py), whether it fits a file (`Contract.column_problems`)
or a report's columns (`contract.output_contract`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from reportgen_dagster.contracts.casts import Notation
from reportgen_dagster.contracts.constraints import ConstraintReader, Path
from reportgen_dagster.contracts.contract import notation_of
from reportgen_dagster.contracts.formats import format_problem
from reportgen_dagster.contracts.models import Dialect, Schema, SchemaField, type_of_field
from reportgen_dagster.contracts.patterns import STRING_FORMATS

Found = Iterator[tuple[Path, str]]
_NUMERIC = ("integer", "number", "decimal")


def schema_problems(
    schema: Schema,
    dialect: Dialect | None = None,
    *,
    is_output: bool = False,
    references: Collection[str] | None = None,
) -> list[tuple[Path, str]]:
    """Return everything that is wrong with a schema: the path in it (as the file has it) and a message.

    Args:
        schema: The schema.
        dialect: The file's dialect.
        is_output: It is the report's: fields without type have any type, and values are not read from texts.
        references: The references that there are, if they are known.
    """
    problems = list(_name_problems(schema))
    for number, field in enumerate(schema.fields):
        found = _field_problems(field, dialect, is_output=is_output)
        problems += [(("fields", number, *path), message) for path, message in found]
    problems += _key_problems(schema)
    problems += _foreign_key_problems(schema, references, is_output=is_output)
    if is_output and "missing_values" in schema.model_fields_set:
        problems.append((("missingValues",), "a report's missing values are always written as empty cells"))
    return problems


def _name_problems(schema: Schema) -> Found:
    seen: dict[str, str] = {}
    for number, field in enumerate(schema.fields):
        before = seen.setdefault(field.name.lower(), field.name)
        if number and before == field.name and field.name in [one.name for one in schema.fields[:number]]:
            yield ("fields", number, "name"), f"there are two fields `{field.name}`"
        elif before != field.name:
            yield ("fields", number, "name"), f"`{field.name}` and `{before}` differ by case only"


def _field_problems(field: SchemaField, dialect: Dialect | None, *, is_output: bool) -> Found:
    yield from _notation_problems(field, is_output=is_output)
    notation = notation_of(field, dialect)
    yield from _number_problems(field, notation)
    yield from _boolean_problems(field, notation)
    if field.severity == "warn" and field.threshold is not None:
        yield ("threshold",), "a `threshold` is for `severity: error`; `warn` never fails a run"
    layout_problem = _format_problem(field)
    if layout_problem:
        yield ("format",), layout_problem
        return
    type_ = type_of_field(field, untyped="any" if is_output else "text")
    if type_.name == "any" or (field.scale or 0) > type_.precision > 0:
        return
    reader = ConstraintReader(field, type_, notation, None)
    reader.read()
    yield from reader.problems


def _notation_problems(field: SchemaField, *, is_output: bool) -> Found:
    groups = (
        (("decimal_char",), ("number", "decimal"), "numbers and decimals"),
        (("group_char", "bare_number"), _NUMERIC, "numbers"),
        (("true_values", "false_values"), ("boolean",), "booleans"),
        (("precision", "scale"), ("decimal",), "decimals"),
    )
    for names, types, what in groups:
        for name in names:
            if name not in field.model_fields_set or getattr(field, name) is None:
                continue
            key = SchemaField.model_fields[name].alias or name
            if field.type not in types:
                yield (key,), f"`{key}` is for {what}, and `{field.name}` is {field.type or 'string'}"
            elif is_output and name not in ("precision", "scale"):
                yield (key,), f"`{key}` says how values are read; a report's are always written alike"
    if is_output and field.format not in (None, "default") and field.type != "string":
        yield (
            ("format",),
            "`format` says how values are read; use format_date(...) in a `derive` to write a date",
        )


def _number_problems(field: SchemaField, notation: Notation) -> Found:
    if field.type not in _NUMERIC:
        return
    if field.scale is not None and field.precision is not None and field.scale > field.precision:
        yield ("scale",), f"`scale` {field.scale} is more than `precision` {field.precision}"
    for key, mark in (("decimalChar", notation.decimal), ("groupChar", notation.group)):
        if mark is not None and (mark.isdigit() or mark in "+-eE"):
            yield (key,), f"`{mark}` stands for something else in a number"
    if notation.group == notation.decimal and field.type != "integer":
        yield ("groupChar",), f"`{notation.group}` is the decimal mark as well"


def _boolean_problems(field: SchemaField, notation: Notation) -> Found:
    both = set(notation.true_values) & set(notation.false_values)
    if field.type == "boolean" and both:
        yield (
            ("falseValues",),
            f"`{sorted(both)[0]}` is both true and false; write `trueValues` and `falseValues`",
        )


def _format_problem(field: SchemaField) -> str:
    if field.format in (None, "default"):
        return ""
    layout = field.format or ""
    if field.type in ("date", "time", "datetime"):
        return format_problem(layout, field.type)
    if field.type in (None, "string"):
        known = ", ".join(f"`{name}`" for name in STRING_FORMATS)
        return (
            "" if layout in STRING_FORMATS else f"a string has no format `{layout[:40]}`; there are {known}"
        )
    return f"`format` is for dates, times and strings, and `{field.name}` is {field.type}"


def _key_problems(schema: Schema) -> Found:
    names = [field.name for field in schema.fields]
    keys: list[tuple[Path, list[str]]] = [(("primaryKey",), schema.primary_key or [])]
    keys += [(("uniqueKeys", number), key) for number, key in enumerate(schema.unique_keys)]
    keys += [
        (("foreignKeys", number, "fields"), key.fields) for number, key in enumerate(schema.foreign_keys)
    ]
    for path, key in keys:
        for number, name in enumerate(key):
            if name not in names:
                yield path, f"`{name}` is no field of the schema; there are {_listed(names)}"
            elif name in key[:number]:
                yield path, f"`{name}` stands twice in the key"


def _foreign_key_problems(schema: Schema, references: Collection[str] | None, *, is_output: bool) -> Found:
    for number, key in enumerate(schema.foreign_keys):
        path: Path = ("foreignKeys", number)
        if is_output:
            yield path, "a report has no foreign keys; give them to the input"
            continue
        target = key.reference
        if len(key.fields) != len(target.fields):
            yield (
                (*path, "reference", "fields"),
                f"the key has {len(key.fields)} columns, this has {len(target.fields)}",
            )
        if references is not None and target.resource not in references:
            there = f"there are {_listed(references)}" if references else "there is none"
            yield (*path, "reference", "resource"), f"there is no reference `{target.resource}`; {there}"


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:10]
    return ", ".join(f"`{name}`" for name in shown) + (", ..." if len(names) > len(shown) else "")
