"""Users, for admins: list them, change role, sign-in and share, end their sessions. There is no deleting; disable instead."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api_gateway.bodies import json_body
from api_gateway.conditions import NOT_MODIFIED, IfMatchDep, shown, tagged
from api_gateway.dependencies import AdminDep, ContextDep, for_admins
from api_gateway.documentation import problems
from api_gateway.paging import DEFAULT_LIMIT, CursorQuery, LimitQuery, Page, page
from api_gateway.users.schemas import UserItem, UserPatch
from reportgen_dagster.services import users

router = APIRouter(prefix="/api/v1/users", tags=["users"])


@router.get(
    "", dependencies=for_admins, response_description="A page of users.", responses=problems(400, 503)
)
def list_users(
    request: Request,
    response: Response,
    context: ContextDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> Page[UserItem]:
    """List all users, the oldest account first."""
    found, cursor = users.page_of_users(context, limit=limit, cursor=cursor)
    return page(request, response, [UserItem.of(user) for user in found], cursor)


@router.get(
    "/{user_id}",
    dependencies=for_admins,
    response_model=UserItem,
    response_description="The user.",
    responses={**NOT_MODIFIED, **problems(404, 503)},
)
def get_user(user_id: str, request: Request, context: ContextDep) -> Response:
    """Show a user."""
    user = users.get_user(context, user_id)
    return shown(request, UserItem.of(user), user.fingerprint)


@router.patch(
    "/{user_id}",
    response_description="The user, changed.",
    dependencies=json_body,
    responses=problems(
        400,
        404,
        409,
        412,
        413,
        415,
        503,
        status_400="A value that cannot be used.",
        status_409="He is the last admin who may sign in.",
    ),
)
def change_user(
    user_id: str,
    body: UserPatch,
    response: Response,
    caller: AdminDep,
    context: ContextDep,
    expected: IfMatchDep,
) -> UserItem:
    """Change a user's role, sign-in or share in the queue. Disabling ends his sessions and API tokens at once.

    The last admin can neither be disabled nor become a user.
    """
    user = users.change_user(context, user_id, body.change(), by_user_id=caller.user_id, expected=expected)
    response.headers.update(tagged(user.fingerprint))
    return UserItem.of(user)


@router.post(
    "/{user_id}/revoke",
    status_code=204,
    response_description="They have ended.",
    responses=problems(404, 503),
)
def revoke_user(user_id: str, caller: AdminDep, context: ContextDep) -> None:
    """End all sessions and API tokens of a user. He may sign in again."""
    users.revoke_user(context, user_id, by_user_id=caller.user_id)
