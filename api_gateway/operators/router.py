"""Sign-in and sign-out of operators, and the question that the proxy asks before it lets a request through to the Dagster UI.

These are pages for a browser and no part of the API: their cookie opens the UI alone. Who may is services/operators.py.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from python_multipart.multipart import parse_options_header

from api_gateway.dependencies import ClientDep, ContextDep
from api_gateway.errors import MediaTypeError
from api_gateway.operators.pages import STYLE, sign_in_address, sign_in_page, sign_out_page
from api_gateway.operators.requests import UI_PATH, is_of_our_pages, loads_a_page, way_back
from reportgen_dagster.errors import AuthenticationError, ForbiddenError, TooManyError
from reportgen_dagster.services import operators
from reportgen_dagster.services.context import Context

COOKIE = "__Secure-reportgen-operator"

_FORM = b"application/x-www-form-urlencoded"
_MOST_FIELDS = 10


def _ours(request: Request) -> None:
    if not is_of_our_pages(request):
        raise ForbiddenError("The form was sent by a page of another origin.")


async def _form(request: Request) -> dict[str, str]:
    media_type, _ = parse_options_header(request.headers.get("content-type"))
    if media_type != _FORM:
        raise MediaTypeError("Send the form as application/x-www-form-urlencoded.")
    text = (await request.body()).decode(errors="replace")
    try:
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=_MOST_FIELDS).items()}
    except ValueError:
        return {}


router = APIRouter(prefix="/operators", include_in_schema=False)
_of_our_pages = [Depends(_ours)]


@router.get("/sign-in")
def sign_in_form(request: Request) -> Response:
    """Ask for e-mail and password."""
    return sign_in_page(way_back(request.query_params.get("next")))


@router.post("/sign-in", dependencies=_of_our_pages)
def sign_in(
    form: Annotated[dict[str, str], Depends(_form)], client: ClientDep, context: ContextDep
) -> Response:
    """Sign in, and go on to the Dagster UI."""
    email, going_to = form.get("email", ""), way_back(form.get("next"))
    try:
        token = operators.sign_in(context, email=email, password=form.get("password", ""), client=client)
    except AuthenticationError as error:
        return sign_in_page(going_to, email=email, wrong=error.detail, status=401)
    except ForbiddenError as error:
        return sign_in_page(going_to, email=email, wrong=error.detail, status=403)
    except TooManyError as error:
        headers = {"Retry-After": str(error.retry_seconds)}
        return sign_in_page(going_to, email=email, wrong=error.detail, status=429, headers=headers)
    answer = RedirectResponse(going_to, 303)
    lifetime = int(operators.LIFETIME.total_seconds())
    answer.set_cookie(
        COOKIE, token, max_age=lifetime, path=UI_PATH, secure=True, httponly=True, samesite="strict"
    )
    return answer


@router.get("/check")
def check(request: Request, context: ContextDep) -> Response:
    """Tell the proxy whether a request may go through; if not, this answer is the client's.

    What a page of another origin caused counts as if nobody were signed in.
    """
    try:
        _admit(request, context)
    except AuthenticationError:
        if not loads_a_page(request):
            raise
        return RedirectResponse(sign_in_address(way_back(request.headers.get("x-forwarded-uri"))), 303)
    return Response(status_code=204)


@router.get("/sign-out")
def sign_out_form(request: Request, context: ContextDep) -> Response:
    """Ask whether to sign out."""
    try:
        return sign_out_page(operators.operator_of(context, _token(request)).email)
    except AuthenticationError:
        return RedirectResponse(sign_in_address(UI_PATH), 303)


@router.post("/sign-out", dependencies=_of_our_pages)
def sign_out(request: Request, context: ContextDep) -> Response:
    """End the session; signing out twice is as good as once."""
    answer = RedirectResponse(sign_in_address(UI_PATH), 303)
    answer.delete_cookie(COOKIE, path=UI_PATH, secure=True, httponly=True, samesite="strict")
    with suppress(AuthenticationError):
        operators.sign_out(context, _token(request))
    return answer


@router.get("/style.css")
def style() -> Response:
    """Return how the pages look."""
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})


def _admit(request: Request, context: Context) -> None:
    if not is_of_our_pages(request):
        raise AuthenticationError("The request was sent by a page of another origin.")
    operators.operator_of(context, _token(request))


def _token(request: Request) -> str:
    return request.cookies.get(COOKIE, "")
