"""The contract of a table: typed fields, what their values keep, which keys are unique, where values come from.

What belongs here: the contract as data and as SQL on rows. What does not: how it is written in rules (models.py), pandera's
schema of it (rendering.py), checking tables (validation.py). Importing this module imports no pandera.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.casts import FALSE, TRUE, Notation, strict_cast
from reportgen_dagster.contracts.constraints import Constraint, ConstraintReader, Path
from reportgen_dagster.contracts.models import (
    Dialect,
    Schema,
    SchemaField,
    Severity,
    threshold_of,
    type_of_field,
)
from reportgen_dagster.contracts.types import Type

if TYPE_CHECKING:
    import pandera.pandas as pa

REQUIRED = "required"
UNIQUE = "unique"
PLAIN = Notation()


class Cast(NamedTuple):
    """A text read as a field's value.

    Attributes:
        value: SQL: null where the text is null or not of the type; never fails.
        broken: SQL: the text is there and the value is not. The same as `raw IS NOT NULL AND value IS NULL`, so that a
            compiler that gives `value` a name can write that instead.
        rule: The type as people are told it, as `type date %d/%m/%Y`.
        reason: What is wrong where it is broken, as `is not a date`.
    """

    value: Expr
    broken: Expr
    rule: str
    reason: str


class RowCheck(NamedTuple):
    """A constraint as a condition on a row.

    Attributes:
        column: The field's name.
        rule: As `minimum: 0`.
        reason: As `is less than 0`.
        broken: SQL: true where the row breaks it; false or null elsewhere.
        severity: `warn` only counts.
        threshold: How many rows may break it: a count from 1 or a share below 1.
    """

    column: str
    rule: str
    reason: str
    broken: Expr
    severity: Severity
    threshold: float | None


@dataclass(frozen=True, slots=True)
class ContractField:
    """A column of a contract.

    Attributes:
        name: Its name.
        type: What its values are; `any`: the type that was inferred from the file, in the report any type.
        notation: How they are written.
        required: No value is missing.
        constraints: What each value keeps.
        severity: Of `required`; each constraint has its own, and what is not of the type is always an error.
        threshold: Of the type and `required`: a count from 1 or a share below 1.
        optional: The column need not be there.
    """

    name: str
    type: Type
    notation: Notation = PLAIN
    required: bool = False
    constraints: tuple[Constraint, ...] = ()
    severity: Severity = "error"
    threshold: float | None = None
    optional: bool = False

    def cast(self, raw: Expr) -> Cast:
        """Read a text as a value of the field.

        Args:
            raw: The text, null where it is missing; best a column, for it is written several times.
        """
        value = strict_cast(raw, self.type, self.notation)
        told = f"type {self.notation.told(self.type)}"
        article = "an" if self.type.name == "integer" else "a"
        if self.type.name in ("text", "any"):
            return Cast(raw, exp.false(), told, f"is not {article} {self.type}")
        broken = exp.And(this=_is_present(raw), expression=_is_null(value))
        return Cast(value, broken, told, f"is not {article} {self.type.name}{self._how()}")

    def _how(self) -> str:
        if self.notation.layout and self.type.name in ("date", "time", "datetime"):
            return f" of the format {self.notation.layout}"
        return ""


@dataclass(frozen=True, slots=True)
class UniqueRule:
    """Columns whose values together are there only once; rows with a missing value do not count.

    Attributes:
        columns: The columns.
        rule: As `unique` or `primaryKey: desk, day`.
        reason: What is wrong with a row whose values were there before.
        severity: `warn` only counts.
        threshold: How many rows may repeat a key: a count from 1 or a share below 1.
    """

    columns: tuple[str, ...]
    rule: str
    reason: str
    severity: Severity = "error"
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class ForeignKeyRule:
    """Columns whose values are there in a reference; rows with a missing value are not judged.

    Attributes:
        columns: The columns.
        reference: The reference's name.
        reference_columns: Its columns, as many.
        rule: As `foreignKey: desk -> desks(desk_id)`.
        reason: What is wrong with a row whose values are not there.
    """

    columns: tuple[str, ...]
    reference: str
    reference_columns: tuple[str, ...]
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Contract:
    """What a table keeps.

    Attributes:
        fields: Its columns, as far as the contract knows them.
        unique: Keys that are there only once.
        foreign_keys: Values that are there in references.
        missing_values: Texts that mean that there is no value.
        ignores_case: A column whose name differs from a field's by case is that field's.
        strict: There are no other columns.
        ordered: The columns are in the order of the fields.
    """

    fields: tuple[ContractField, ...] = ()
    unique: tuple[UniqueRule, ...] = ()
    foreign_keys: tuple[ForeignKeyRule, ...] = ()
    missing_values: tuple[str, ...] = ("",)
    ignores_case: bool = False
    strict: bool = False
    ordered: bool = False

    def field(self, name: str) -> ContractField | None:
        """Return the field of this name, if there is one."""
        return next((field for field in self.fields if field.name == name), None)

    def column_problems(self, columns: Sequence[str]) -> list[str]:
        """Tell what is wrong with the names of a table's columns."""
        names = [field.name for field in self.fields]
        problems = [
            f"column `{field.name}` of the contract is missing"
            for field in self.fields
            if not field.optional and field.name not in columns
        ]
        if self.strict:
            problems += [f"column `{name}` is not in the contract" for name in columns if name not in names]
        wanted = [name for name in names if name in columns]
        if self.ordered and [name for name in columns if name in names] != wanted:
            problems.append(f"the columns are not in the contract's order: {', '.join(wanted)}")
        return problems

    def row_checks(
        self, columns: Mapping[str, Expr], raw: Mapping[str, Expr] | None = None
    ) -> list[RowCheck]:
        """Return what the fields' values keep as conditions on a row, rendered from the pandera schema of the contract.

        Args:
            columns: Typed values by column; fields without one are left out.
            raw: The texts that they were read from. `required` is judged on them, so that a text that is not of the type does
                not count as missing as well.
        """
        from reportgen_dagster.contracts.rendering import table_schema
        from reportgen_dagster.contracts.schema_checks import row_checks

        return row_checks(table_schema(self), columns, raw or {})


def notation_of(field: SchemaField, dialect: Dialect | None) -> Notation:
    """Return how a field's values are written, by the field and else by the dialect."""
    written = dialect or Dialect()
    layout = None if field.format == "default" else field.format
    return Notation(
        layout=layout if field.type in ("date", "time", "datetime") else None,
        decimal=field.decimal_char or written.decimal_char or ".",
        group=field.group_char or written.group_char,
        bare=field.bare_number,
        true_values=tuple(field.true_values or TRUE),
        false_values=tuple(field.false_values or FALSE),
    )


def contract_of(schema: Schema, dialect: Dialect | None = None) -> Contract:
    """Return the contract of a file that is read.

    Args:
        schema: Its schema, without problems (problems.py).
        dialect: Its dialect, for the marks in numbers.
    """
    key = schema.primary_key or []
    fields = tuple(
        _field(field, type_of_field(field), notation_of(field, dialect), key) for field in schema.fields
    )
    return Contract(
        fields,
        _unique_rules(schema),
        tuple(_foreign_keys(schema)),
        tuple(schema.missing_values),
        ignores_case=dialect is not None and not dialect.case_sensitive_header,
    )


def _field(field: SchemaField, type_: Type, notation: Notation, key: Collection[str]) -> ContractField:
    threshold = None if field.threshold is None else threshold_of(field.threshold)
    return ContractField(
        field.name,
        type_,
        notation,
        required=field.constraints.required or field.name in key,
        constraints=ConstraintReader(field, type_, notation, threshold).read(),
        severity=field.severity,
        threshold=threshold,
    )


def _unique_rules(schema: Schema) -> tuple[UniqueRule, ...]:
    found: dict[tuple[str, ...], UniqueRule] = {}
    if schema.primary_key:
        columns = tuple(schema.primary_key)
        found[columns] = UniqueRule(columns, f"primaryKey: {', '.join(columns)}", "is there more than once")
    for field in schema.fields:
        if field.constraints.unique and (field.name,) not in found:
            threshold = None if field.threshold is None else threshold_of(field.threshold)
            found[(field.name,)] = UniqueRule(
                (field.name,), UNIQUE, "is there more than once", field.severity, threshold
            )
    for names in schema.unique_keys:
        columns = tuple(names)
        rule = UniqueRule(columns, f"uniqueKeys: {', '.join(columns)}", "is there more than once")
        found.setdefault(columns, rule)
    return tuple(found.values())


def _foreign_keys(schema: Schema) -> list[ForeignKeyRule]:
    rules = []
    for key in schema.foreign_keys:
        target = f"{key.reference.resource}({', '.join(key.reference.fields)})"
        rules.append(
            ForeignKeyRule(
                tuple(key.fields),
                key.reference.resource,
                tuple(key.reference.fields),
                f"foreignKeys: {', '.join(key.fields)} -> {target}",
                f"is not in {target}",
            )
        )
    return rules


def output_contract(
    schema: Schema, columns: Mapping[str, Type], read: Collection[str] = ()
) -> tuple[Contract, list[tuple[Path, str]]]:
    """Return the contract of a report, and what is wrong with it for the report's columns.

    Args:
        schema: The output's schema, without problems (problems.py).
        columns: The report's columns; one whose type is `any` is judged by the field's own type.
        read: Those that are written as they were read; they count as text too.

    Returns:
        The contract, whose fields have the columns' types, and problems with their paths in the schema.
    """
    problems: list[tuple[Path, str]] = []
    fields = []
    for number, field in enumerate(schema.fields):
        path: Path = ("fields", number)
        if field.name not in columns:
            problems.append(((*path, "name"), f"the report has no column `{field.name}`"))
            continue
        wanted = type_of_field(field, untyped="any")
        type_ = _reported_type(wanted, columns[field.name], is_read=field.name in read)
        if type_ is None:
            message = f"column `{field.name}` is {columns[field.name]}, not {wanted}"
            problems.append(((*path, "type"), message))
            continue
        notation = notation_of(field, None)
        reader = ConstraintReader(field, type_, notation, None)
        if type_.name != "any":
            reader.read()
            problems += [((*path, *rest), message) for rest, message in reader.problems]
        if not reader.problems:
            fields.append(_field(field, type_, notation, schema.primary_key or []))
    return Contract(tuple(fields), _unique_rules(schema)), problems


def reported_contract(
    contract: Contract, columns: Mapping[str, Type], read: Collection[str] = ()
) -> tuple[Contract, list[str]]:
    """Return a contract that is not of the rules as the contract of a report, and what is wrong with it for the report's columns.

    Args:
        contract: As written in Python; a field without a type takes the column's.
        columns: The report's columns.
        read: Those that are written as they were read; they count as text too.
    """
    problems = contract.column_problems([*columns])
    fields = []
    for field in contract.fields:
        actual = columns.get(field.name)
        type_ = _reported_type(field.type, actual, is_read=field.name in read) if actual is not None else None
        if actual is not None and type_ is None:
            problems.append(f"column `{field.name}` is {actual}, not {field.type}")
        elif type_ is not None:
            problems += misfits(field, type_)
            fields.append(replace(field, type=type_))
    return replace(contract, fields=tuple(fields), foreign_keys=()), problems


def misfits(field: ContractField, type_: Type) -> list[str]:
    """Tell which constraints of a field without a type of its own cannot judge values of a type; none while it is not known."""
    if type_.name in ("any", "null"):
        return []
    return [
        f"column `{field.name}` is {type_}, which `{constraint.rule}` cannot judge"
        for constraint in field.constraints
        if not constraint.fits(type_)
    ]


def _reported_type(wanted: Type, actual: Type, *, is_read: bool) -> Type | None:
    """Return the type whose values a report's field is judged by; None if the column is not of the wanted type."""
    if wanted.name == "any" or actual.name == wanted.name:
        return Type("text") if actual.name in ("cell", "null") else actual
    if actual.name in ("any", "null"):
        return wanted
    if wanted.name == "text":
        return wanted if is_read or actual.name == "cell" else None
    wider = {"number": ("integer", "decimal"), "decimal": ("integer",)}
    return actual if actual.name in wider.get(wanted.name, ()) else None


def contract_from_pandera(schema: pa.DataFrameSchema) -> Contract:
    """Return the contract that a pandera schema written in Python means.

    Args:
        schema: Columns with types and pandera's built-in checks. Values are always read strictly: `coerce` changes nothing.

    Raises:
        SchemaDefinitionError: If it has what no contract has (checks of one's own, patterns of names, checks of tables, parsers
            or defaults); the message names it.
    """
    from reportgen_dagster.contracts.pandera_schemas import contract_of_schema

    return contract_of_schema(schema)


def _is_null(value: Expr) -> Expr:
    return exp.Is(this=value.copy(), expression=exp.Null())


def _is_present(value: Expr) -> Expr:
    return exp.Not(this=_is_null(value))
