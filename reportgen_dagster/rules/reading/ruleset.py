"""Rules as the compiler takes them: the long-form document, its parsed expressions, their places, what was wrong with them.

What belongs here: data. What does not: reading a file into it (loading.py), whether it fits files (compiling/).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ruamel.yaml import YAML
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.contract import Contract, ContractField, contract_of
from reportgen_dagster.contracts.models import Schema, SchemaField
from reportgen_dagster.contracts.types import ANY
from reportgen_dagster.errors import Problem
from reportgen_dagster.rules.expressions.gate import offset_of
from reportgen_dagster.rules.reading.document import Input, LongForm
from reportgen_dagster.rules.reading.positions import Located, Path, path_text

INPUT = "input"
ExpressionContext = Literal["scalar", "aggregate", "window"]


def file_path(name: str) -> Path:
    """Return where the rules describe a file."""
    return (INPUT,) if name == INPUT else ("references", name)


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed and judged expression.

    Attributes:
        text: As its user wrote it: the formula in the short form.
        tree: As parsed by expressions.py, in the long form's syntax.
        context: What may be called in it.
        path: Where it stands in the user's file.
        columns: The columns that it names, in order, each once.
        offsets: Short form only: where each column first stands in `text`.
    """

    text: str
    tree: Expr
    context: ExpressionContext
    path: Path
    columns: tuple[str, ...]
    offsets: Mapping[str, int] | None = None

    def offset_of(self, node: Expr) -> int:
        """Return where a node of the tree begins in `text`, as far as it is known."""
        if self.offsets is None:
            return offset_of(node)
        names = [str(part.this) for part in node.walk() if type(part).__name__ == "Identifier"]
        return next((self.offsets[name] for name in names if name in self.offsets), 0)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Rules, sound or not: of what is wrong nothing is known, and all else can be judged.

    Attributes:
        form: Which form the user wrote.
        document: The rules in the long form; what is wrong is left out, or something of which nothing is known stands for it.
        expressions: Every expression by its path in `document`, as `("steps", 1, "derive", "gross")`.
        located: The user's file with the places of its nodes.
        source: The user's file's name, for problems.
        paths: Short form only: where the user's file has what `document` has at a path.
        problems: What is wrong with the rules by themselves, beside what the compiler finds. Rules with problems never run.
        wrong: The paths of the problems.
        open_steps: The steps after which there may be other columns than their models say.
    """

    form: Literal["short", "long"]
    document: LongForm
    expressions: Mapping[Path, Expression]
    located: Located
    source: str
    paths: Mapping[Path, Path] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    wrong: frozenset[Path] = frozenset()
    open_steps: frozenset[int] = frozenset()

    @property
    def reference_names(self) -> tuple[str, ...]:
        """Return the references that the rules use or describe, in order, each once."""
        return self.document.reference_names

    def is_wrong(self, *path: str | int) -> bool:
        """Tell whether something is wrong at a path, or under it."""
        return any(found[: len(path)] == path for found in self.wrong)

    def file(self, name: str) -> Input | None:
        """Return what the rules say of a file, `input` or a reference, if they do."""
        return self.document.input if name == INPUT else self.document.references.get(name)

    def contract(self, name: str) -> Contract | None:
        """Return the contract of a file, if the rules have one. A field with a problem has any type, a wrong key is left out."""
        described = self.file(name)
        if described is None or described.schema_ is None:
            return None
        path: Path = (*file_path(name), "schema")
        schema = described.schema_
        doubtful = {n for n, _ in enumerate(schema.fields) if self.is_wrong(*path, "fields", n)}
        if not doubtful and not self.is_wrong(*path):
            return contract_of(schema, described.dialect)
        plain = [
            SchemaField(name=known.name) if n in doubtful else known for n, known in enumerate(schema.fields)
        ]
        contract = contract_of(
            schema.model_copy(update={"fields": plain, **self._sound_keys(schema, path)}), described.dialect
        )
        fields = (
            ContractField(known.name, ANY, optional=True) if n in doubtful else known
            for n, known in enumerate(contract.fields)
            if not self.is_wrong(*path, "fields", n, "name")
        )
        return replace(contract, fields=tuple(fields))

    def _sound_keys(self, schema: Schema, path: Path) -> dict[str, object]:
        """Return the keys of a schema without those that are wrong."""
        return {
            "primary_key": None if self.is_wrong(*path, "primaryKey") else schema.primary_key,
            "unique_keys": [] if self.is_wrong(*path, "uniqueKeys") else schema.unique_keys,
            "foreign_keys": [] if self.is_wrong(*path, "foreignKeys") else schema.foreign_keys,
        }

    def problem(self, path: Path, message: str, *, offset: int = 0, key: bool = False) -> Problem:
        """Describe a problem at a path of `document`.

        Args:
            path: The place.
            message: What is wrong and how to mend it.
            offset: Characters from the beginning of the text that stands there.
            key: The key is what is wrong, not what stands under it.
        """
        path = self.paths.get(path, path)
        place = self.located.keys.get(path) if key else None
        place = place or self.located.place_of(path)
        start = place.text_column
        column = place.column if start is None or key else start + offset
        return Problem(message, path_text(path), place.line, column, self.source)

    def problem_in(self, expression: Expression, message: str, node: Expr | None = None) -> Problem:
        """Describe a problem with an expression, at a node of it if one is given."""
        offset = expression.offset_of(node) if node is not None else 0
        return self.problem(expression.path, message, offset=offset)

    def to_yaml(self) -> str:
        """Return the rules as a long-form YAML file."""
        writer = YAML(typ="rt", pure=True)
        writer.width = 4096
        writer.indent(mapping=2, sequence=4, offset=2)
        text = io.StringIO()
        writer.dump(self.document.as_written(), text)
        return text.getvalue()
