"""Use case: which user may sign webhooks with which secret of the installation; whoever runs the service says so.

What belongs here: granting, taking back, listing. What does not: what a secret is and where (secrets.py), where reports are
delivered to (destinations.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from reportgen_dagster.catalog import grants
from reportgen_dagster.errors import BadRequestError, NotFoundError
from reportgen_dagster.services import secrets
from reportgen_dagster.services.accounts import account_of
from reportgen_dagster.services.context import Context


@dataclass(frozen=True, slots=True)
class GrantView:
    """A user may sign with a secret.

    Attributes:
        name: The secret's name.
        email: The user.
    """

    name: str
    email: str


def grant(context: Context, name: str, email: str) -> GrantView:
    """Let a user sign webhooks with a secret. Granting it again changes nothing.

    Raises:
        BadRequestError: If there is no such secret, or none for signing.
        NotFoundError: If there is no such user.
    """
    if problem := secrets.name_problem(context.settings, name):
        raise BadRequestError(problem)
    account = account_of(context, email)
    with context.catalog.transaction() as session:
        grants.add(session, name, account.id)
    return GrantView(name, account.email)


def revoke(context: Context, name: str, email: str) -> GrantView:
    """Take a grant back: the user puts no further report that signs with it. Reports that are there go on.

    Raises:
        NotFoundError: If there is no such user or grant.
    """
    account = account_of(context, email)
    with context.catalog.transaction() as session:
        if not grants.remove(session, name, account.id):
            raise NotFoundError(f"{account.email} may not sign with `{name}` anyway.")
    return GrantView(name, account.email)


def list_grants(context: Context) -> list[GrantView]:
    """Return all grants by secret and user."""
    with context.catalog.reading() as session:
        return [GrantView(name, email) for name, email in grants.everybodys(session)]
