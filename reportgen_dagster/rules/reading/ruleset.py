"""Rules that hold by themselves, as the compiler takes them: the long-form document, its parsed expressions, their places.

What belongs here: data. What does not: reading a file into it (loading.py), whether it fits files (compiling/).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ruamel.yaml import YAML
from sqlglot.expressions import Expr

from reportgen_dagster.errors import Problem
from reportgen_dagster.rules.expressions.gate import offset_of
from reportgen_dagster.rules.reading.document import LongForm
from reportgen_dagster.rules.reading.positions import Located, Path, path_text

ExpressionContext = Literal["scalar", "aggregate", "window"]


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
    """Rules without any problem that can be told without files.

    Attributes:
        form: Which form the user wrote.
        document: The rules in the long form.
        expressions: Every expression by its path in `document`, as `("steps", 1, "derive", "gross")`.
        located: The user's file with the places of its nodes.
        source: The user's file's name, for problems.
        paths: Short form only: where the user's file has what `document` has at a path.
    """

    form: Literal["short", "long"]
    document: LongForm
    expressions: Mapping[Path, Expression]
    located: Located
    source: str
    paths: Mapping[Path, Path] = field(default_factory=dict)

    @property
    def reference_names(self) -> tuple[str, ...]:
        """Return the references that the rules use or describe, in order, each once."""
        return self.document.reference_names

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
