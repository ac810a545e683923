"""Says in a user's words what a parser of YAML says in its own, and how to mend it.

What belongs here: sentences. What does not: parsing (positions.py).
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"(?:but found|but got) \(?'?(?P<found><[a-z ]+>|.[^']*|')'?")
_TOKENS = {"<stream end>": "the end of the file", "<document start>": "another document"}
_QUOTE = "a text that holds `: `, or begins with a mark, stands in double quotes"
_BRACES = "inside braces, an expression with a comma, or one that begins with `:`, stands in double quotes"
_SAYINGS: tuple[tuple[str, str], ...] = (
    (r"expected ',' or '\}'", f"`,` or `}}` is expected here<found>; {_BRACES}"),
    (r"expected ',' or '\]'", "`,` or `]` is expected here<found>"),
    (r"expected the node content", f"a value is expected here<found>; {_BRACES}"),
    (
        r"expected <block end>",
        "this does not go on with what stands above it<found>; see how far it is indented, and its quotes",
    ),
    (r"expected '<document start>'", "nothing may follow the document"),
    (r"expected (chomping|alphabetic|'!'|a comment)", f"a mark of YAML stands here; {_QUOTE}"),
    (r"mapping values are not allowed", f"`: ` cannot stand here; {_QUOTE}"),
    (r"could not find expected ':'|expected ':'", "a key and `: ` are expected here"),
    (r"found character '\\t'", "a tab cannot stand here; indent by blanks"),
    (r"found character (?P<what>'.+'|\"'\")", f"<what> cannot begin a value; {_QUOTE}"),
    (r"found unexpected end of stream", "a quote never closes"),
    (
        r"found unknown escape character (?P<what>'.+')",
        "<what> cannot stand behind `\\` in double quotes; single quotes keep a `\\`",
    ),
    (r"unacceptable character (?P<what>#x[0-9a-f]+)", "the file holds a control character (<what>)"),
    (r"did not find|expected|while|found", f"this cannot be read; {_QUOTE}"),
)


def yaml_reason(said: str) -> str:
    """Return what a parser of YAML means.

    Args:
        said: What it says is wrong.
    """
    token = _TOKEN.search(said)
    word = token["found"] if token else ""
    found = f", not {_TOKENS.get(word, f'`{word}`')}" if word and (word[0] != "<" or word in _TOKENS) else ""
    for pattern, told in _SAYINGS:
        match = re.search(pattern, said)
        if match:
            return told.replace("<found>", found).replace("<what>", match.groupdict().get("what") or "")
    return f"this cannot be read; {_QUOTE}"
