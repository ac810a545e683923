"""Where a report is delivered to: reading and checking the `deliveries` of its definition, and what each event makes of them.

What belongs here: the shape of a destination. What does not: who sends to it (delivery.py and what it calls), when (outbox.py).

    - {email: {to: [ann@example.com], formats: [csv]}, on: [success, failure, late]}
    - {webhook: {url: "https://example.com/hook", secret: partner}}
    - {copy: {url: "s3://bucket/prefix"}}
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from reportgen_dagster.errors import Problem
from reportgen_dagster.formats import FORMATS
from reportgen_dagster.services import addresses, secrets, targets
from reportgen_dagster.settings import Settings

MAX_DESTINATIONS = 20
MAX_ADDRESSES = 50
ROOT = "deliveries"

Event = Literal["success", "failure", "late"]
Channel = Literal["email", "webhook", "copy"]
DEFAULT_EVENTS: Mapping[Channel, tuple[Event, ...]] = {
    "email": ("success", "failure"),
    "webhook": ("success", "failure"),
    "copy": ("success",),
}

_WORDS = {"extra_forbidden": "there is no such key here", "missing": "is missing"}
_Item = TypeVar("_Item")
_Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=addresses.MAX_URL)]
_Some = Annotated[list[_Item], Field(min_length=1, max_length=MAX_ADDRESSES)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Email(_Part):
    """An e-mail to each of some addresses; it brings the files along, of all formats or of these."""

    to: _Some[_Text]
    formats: _Some[_Text] | None = None


class Webhook(_Part):
    """A POST that is signed with a secret."""

    url: _Text
    secret: _Text


class Copy(_Part):
    """The files, of all formats or of these, below a URL of a storage."""

    url: _Text
    formats: _Some[_Text] | None = None


class Destination(_Part):
    """One of the three, and for which events."""

    email: Email | None = None
    webhook: Webhook | None = None
    copy_: Copy | None = Field(None, alias="copy")
    on: _Some[Event] | None = None

    @property
    def parts(self) -> dict[Channel, Email | Webhook | Copy]:
        """What is given of the three, by its name."""
        of_channels: dict[Channel, Email | Webhook | Copy | None] = {
            "email": self.email,
            "webhook": self.webhook,
            "copy": self.copy_,
        }
        return {channel: part for channel, part in of_channels.items() if part is not None}


@dataclass(frozen=True, slots=True)
class Address:
    """One place that one message or copy goes to.

    Attributes:
        channel: How.
        destination: `to`, or `url` and `secret`, or `url`; perhaps `formats`.
    """

    channel: Channel
    destination: dict[str, Any]


def read(
    given: Any, settings: Settings, *, is_watched: bool, granted: Collection[str] | None
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Read the deliveries of a report.

    Args:
        given: JSON data.
        settings: What is allowed, and where secrets are.
        is_watched: The report can be late.
        granted: The secrets that its owner, who puts it, may sign with; others do not exist for him, and copies go only where
            COPY_TARGETS allows. None: the operator puts it, for whom all secrets are.

    Returns:
        The deliveries as they are kept, and everything that is wrong with them.
    """
    try:
        destinations = TypeAdapter(
            Annotated[list[Destination], Field(max_length=MAX_DESTINATIONS)]
        ).validate_python(given)
    except ValidationError as error:
        return [], [
            Problem(_WORDS.get(wrong["type"], wrong["msg"]), path=_path(wrong["loc"]))
            for wrong in error.errors(include_url=False)
        ]
    problems = [
        Problem(message, path=_path((index, *place)))
        for index, destination in enumerate(destinations)
        for place, message in _wrong(destination, settings, is_watched=is_watched, granted=granted)
    ]
    return [one.model_dump(mode="json", exclude_none=True, by_alias=True) for one in destinations], problems


def _path(location: Sequence[str | int]) -> str:
    return ROOT + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _wrong(
    destination: Destination, settings: Settings, *, is_watched: bool, granted: Collection[str] | None
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Find what is wrong with a destination of the right shape: where in it, and why."""
    if len(destination.parts) != 1:
        yield (), "one of email, webhook, copy is needed, and only one"
    if "late" in (destination.on or ()) and not is_watched:
        yield ("on",), "late: nobody said how old the report may be (fresh_within_seconds)"
    if destination.copy_ is not None and set(destination.on or ()) - {"success"}:
        yield ("on",), "there is something to copy after a success only"
    for channel, part in destination.parts.items():
        for place, message in _wrong_part(part, settings, granted):
            yield (channel, *place), message


def _wrong_part(
    part: Email | Webhook | Copy, settings: Settings, granted: Collection[str] | None
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(part, Webhook):
        if problem := addresses.url_problem(part.url, settings):
            yield ("url",), problem
        if problem := _secret_problem(part.secret, settings, granted):
            yield ("secret",), problem
        return
    if isinstance(part, Copy) and (problem := _copy_problem(part.url, settings, granted)):
        yield ("url",), problem
    if isinstance(part, Email):
        for index, text in enumerate(part.to):
            if problem := _address_problem(text):
                yield ("to", index), problem
    for index, name in enumerate(part.formats or ()):
        if name not in FORMATS:
            yield ("formats", index), f"there is no format {name}; there is {', '.join(FORMATS)}"


def _secret_problem(name: str, settings: Settings, granted: Collection[str] | None) -> str:
    """Return why a secret cannot be signed with; one that is not granted is told as one that is not there."""
    if granted is None:
        return secrets.name_problem(settings, name)
    known = f"you may sign with {', '.join(sorted(granted))}" if granted else "none is granted to you"
    return "" if name in granted else f"there is no secret `{name[:64]}`; {known}"


def _copy_problem(url: str, settings: Settings, granted: Collection[str] | None) -> str:
    if granted is not None and not settings.copy_prefixes:
        return "whoever runs the service has named no place that copies may go to (REPORTGEN_COPY_TARGETS)"
    return targets.url_problem(url, settings)


def _address_problem(text: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        return str(error)
    return ""


def addresses_for(deliveries: Sequence[Mapping[str, Any]], event: Event) -> list[Address]:
    """Return where an event is delivered to: of e-mails each address by itself, so that a wrong one holds up no other.

    Args:
        deliveries: As they are kept.
        event: What happened.
    """
    return [
        Address(channel, destination)
        for one in map(Destination.model_validate, deliveries)
        for channel, part in one.parts.items()
        if event in (one.on or DEFAULT_EVENTS[channel])
        for destination in _each(part.model_dump(mode="json", exclude_none=True))
    ]


def _each(destination: dict[str, Any]) -> list[dict[str, Any]]:
    return [destination | {"to": to} for to in destination["to"]] if "to" in destination else [destination]
