"""The steps of rules as a Mermaid flowchart: files, steps, the report.

What belongs here: Mermaid's syntax. What does not: what a step does.
"""

from __future__ import annotations

from reportgen_dagster.rules.reading.labels import label
from reportgen_dagster.rules.reading.ruleset import Ruleset
from reportgen_dagster.rules.reading.steps import references_of

_ESCAPES = {"&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "\n": " "}


def mermaid(ruleset: Ruleset) -> str:
    """Return the flowchart of rules."""
    references = {name: f"r{number}" for number, name in enumerate(ruleset.reference_names)}
    lines = ["flowchart TD", f'    input[("{_text("input")}")]']
    lines += [f'    {key}[("{_text(name)}")]' for name, key in references.items()]
    before = "input"
    for number, step in enumerate(ruleset.document.steps):
        key = f"s{number}"
        lines.append(f'    {key}["{_text(f"{number}: {label(step)}")}"]')
        lines.append(f"    {before} --> {key}")
        lines += [f"    {references[name]} --> {key}" for name in references_of(step)]
        before = key
    lines.append(f'    report["{_text(ruleset.document.title or "report")}"]')
    lines.append(f"    {before} --> report")
    return "\n".join(lines)


def _text(text: str) -> str:
    """Write a text so that Mermaid shows it as it is."""
    return "".join(_ESCAPES.get(character, character) for character in text)
