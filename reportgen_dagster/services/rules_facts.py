"""What rules say of the files and parameters that they want, as plain data that crosses process borders.

Whether they are right is judged by `check_child.py`; what follows from it for an accepted run is `fitting.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from reportgen_dagster.contracts.models import Dialect
from reportgen_dagster.engine.headers import Header, read_header
from reportgen_dagster.formats import DEFAULT_FORMATS

if TYPE_CHECKING:
    from reportgen_dagster.rules.reading.ruleset import Ruleset

INPUT = "input"


@dataclass(frozen=True, slots=True)
class RulesFacts:
    """What rules say of files.

    Attributes:
        references: The references that they name.
        dialects: For each file with a dialect, the dialect as JSON data.
        fields: For each file with a contract, the names of its fields: the columns of a file without a header.
        summary: What people are shown of the rules: `title`, `description`, the steps as a Mermaid `graph`, and the
            `formats` that runs make.
    """

    references: tuple[str, ...]
    dialects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    summary: Mapping[str, str] = field(default_factory=dict)

    @property
    def formats(self) -> tuple[str, ...]:
        """Return what runs make where nobody says otherwise."""
        told = self.summary.get("formats")
        return tuple(told.split(",")) if told else DEFAULT_FORMATS

    @classmethod
    def of(cls, ruleset: Ruleset) -> RulesFacts:
        """Return what loaded rules say."""
        document = ruleset.document
        described = {INPUT: document.input, **(document.references or {})}
        dialects, fields = {}, {}
        for name, file in described.items():
            if file is not None and file.dialect is not None:
                dialects[name] = file.dialect.model_dump(mode="json", by_alias=True, exclude_unset=True)
            if file is not None and file.schema_ is not None:
                fields[name] = [known.name for known in file.schema_.fields]
        return cls(tuple(ruleset.reference_names), dialects, fields, _summary(ruleset))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RulesFacts:
        """Rebuild from `to_json`."""
        return cls(tuple(data["references"]), data["dialects"], data["fields"], data["summary"])

    def to_json(self) -> dict[str, Any]:
        """Return all of it as data for JSON."""
        return asdict(self)

    def read_header(self, head: bytes, name: str) -> Header:
        """Judge the head of a file as these rules want it read.

        Args:
            head: The first bytes of the file.
            name: What the file is to the rules.

        Raises:
            FileRefusedError: If the file has no header that can be used.
        """
        told = self.dialects.get(name)
        dialect = Dialect.model_validate(told) if told is not None else None
        return read_header(head, name=name, dialect=dialect, names=self.fields.get(name))


def _summary(ruleset: Ruleset) -> dict[str, str]:
    # Imported here: whoever judges no rules, as gateway and code server do, needs no parser.
    from reportgen_dagster.rules.graph import mermaid

    document = ruleset.document
    return {
        "title": document.title or "",
        "description": document.description or "",
        "graph": mermaid(ruleset),
        "formats": ",".join(document.output.formats if document.output else DEFAULT_FORMATS),
    }
