"""What a definition must be when it is changed, so that nobody overwrites what he has not seen.

What belongs here: fingerprints of definitions and comparing them, in the transaction of the change. What does not: how a
client sends them (HTTP's ETag and If-Match).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reportgen_dagster.errors import PreconditionError
from reportgen_dagster.identity import digest_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ANY = "*"


@dataclass(frozen=True, slots=True)
class Precondition:
    """What a definition must be at the moment of its change; by default anything.

    Attributes:
        one_of: It must be there, with one of these fingerprints; with ANY among them, with whichever. None: it need not.
        none_of: It must not be there with one of these; with ANY among them, not at all.
    """

    one_of: frozenset[str] | None = None
    none_of: frozenset[str] = frozenset()

    def check(self, present: str | None) -> None:
        """Refuse a change of what is not as it must be.

        Args:
            present: The fingerprint that it has now, nobody else being able to change it; None: it is not there.

        Raises:
            PreconditionError: If it is something else.
        """
        if self.one_of is not None:
            if present is None:
                raise PreconditionError("There is none, so it is not what you have seen.")
            if self.one_of.isdisjoint((present, ANY)):
                raise PreconditionError("It is not what you have seen any more.")
        if present is not None and not self.none_of.isdisjoint((present, ANY)):
            raise PreconditionError(
                "It is there already.", hint="Change it with If-Match, or choose another name."
            )


WHATEVER = Precondition()


def fingerprint(definition: DataclassInstance) -> str:
    """Return a digest that is another one as soon as anything in a definition is.

    Args:
        definition: A view without anything that changes by itself, such as the last run.
    """
    return digest_text(json.dumps(asdict(definition), sort_keys=True, default=_plain))


def _plain(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
