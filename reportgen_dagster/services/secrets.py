"""Secrets that deliveries need, by name: the variable REPORTGEN_SECRET_<NAME>, else the file HOME/secrets/<name>.

A secret is read where it is needed and goes nowhere else: not into the catalog, a log, an event or a message.
"""

from __future__ import annotations

import base64
import os
import re
import stat

from reportgen_dagster.errors import DeliveryError
from reportgen_dagster.settings import SECRET_PREFIX, Settings

SMTP_PASSWORD = "smtp_password"  # noqa: S105 - the name of a secret
KEY_PREFIX = "whsec_"  # as https://www.standardwebhooks.com says
MAX_BYTES = 4096
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
# What signs access tokens is called REPORTGEN_SECRET_KEY, and the mail server's password is no one's to sign with.
_OURS = frozenset({"key", "key_previous", SMTP_PASSWORD})


def name_problem(settings: Settings, name: str) -> str:
    """Return why a webhook cannot be signed with the secret of a name; empty if it can."""
    if not _NAME.fullmatch(name) or name in _OURS:
        return f"`{name}` cannot name a secret; a name has a-z, 0-9 and _, and is not {' or '.join(sorted(_OURS))}"
    try:
        read_keys(settings, name)
    except DeliveryError as error:
        return f"{error.detail} {error.case_hint}"
    return ""


def read_keys(settings: Settings, name: str) -> list[str]:
    """Return the keys that a secret holds for signing: one, or while it is changed both, with a blank between.

    Raises:
        DeliveryError: If there is no such secret, or it is none for signing.
    """
    keys = read_secret(settings, name).split()
    if not all(_is_key(key) for key in keys):
        hint = f'Make one with: echo "{KEY_PREFIX}$(openssl rand -base64 32)"'
        raise DeliveryError(f"The secret `{name}` is no key of 24 to 64 bytes in base64.", hint=hint)
    return keys


def _is_key(text: str) -> bool:
    try:
        return 24 <= len(base64.b64decode(text.removeprefix(KEY_PREFIX), validate=True)) <= 64
    except ValueError:
        return False


def read_secret(settings: Settings, name: str) -> str:
    """Return a secret.

    Raises:
        DeliveryError: If there is none of that name, or others may read its file.
    """
    variable = settings.secret_variable(name)
    text = variable if variable is not None else _in_file(settings, name)
    if not text or not text.strip():
        hint = f"Set {SECRET_PREFIX}{name.upper()}, or write it into HOME/secrets/{name} (readable by the service alone)."
        raise DeliveryError(f"There is no secret `{name}`.", hint=hint)
    return text.strip()


def _in_file(settings: Settings, name: str) -> str | None:
    path = settings.home.absolute() / "secrets" / name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeliveryError(
            f"The file of the secret `{name}` cannot be read: {os.strerror(error.errno or 0)}."
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
            hint = f"chmod 600 HOME/secrets/{name}, as the account that runs the service."
            raise DeliveryError(f"Others may read the file of the secret `{name}`.", hint=hint)
        return os.read(descriptor, MAX_BYTES).decode(errors="replace")
    finally:
        os.close(descriptor)
