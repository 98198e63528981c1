"""The guard of requests that change something: they come from our own pages, from the user that the page was made for.

    @router.post("/...", dependencies=[Depends(unforged)])

Two locks, and both must open: the browser says that the request comes from this very site, and the form holds a token that was
made for this user and this browser. The browser is known by a cookie of ours, since Airflow's own changes while somebody works
(and the embedded Airflow has none).
"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

from airflow.api_fastapi.auth.tokens import get_signing_key
from fastapi import HTTPException, Request, Response
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from skillsengine.airflow.ui.access import Access, Asking
from skillsengine.airflow.ui.links import Links
from skillsengine.airflow.ui.pages import page

COOKIE = "_skillsengine"
FIELD = "forgery_token"
HEADER = "X-Forgery-Token"
LIFE_SECONDS = 12 * 3600
_SALT = "skillsengine.airflow.ui.forgery"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def token_for(request: Request, response: Response, user_id: str) -> str:
    """The token that a form of this page sends back. Gives the browser its cookie, where it has none."""
    browser = request.cookies.get(COOKIE)
    if browser is None:
        browser = secrets.token_urlsafe(16)
        path = Links.of(request).pages or "/"
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, browser, path=path, httponly=True, samesite="strict", secure=secure)
    return _serializer().dumps([user_id, browser])


def page_with_form(request: Request, access: Access, template: str, **context: Any) -> Response:
    """A page whose forms send back `forgery_token` in the field `forgery_field`."""
    holder = Response()
    token = token_for(request, holder, access.user_id)
    cookie = {name: value for name, value in holder.headers.items() if name == "set-cookie"}
    return page(request, template, headers=cookie, forgery_field=FIELD, forgery_token=token, **context)


async def unforged(request: Request, access: Asking) -> None:
    """A dependency. Raises HTTPException 405 for another method than POST, 403 for a request that may be forged."""
    if request.method != "POST":
        raise HTTPException(405, "Only POST changes anything here.")
    if not _from_here(request):
        raise HTTPException(403, "The request does not come from these pages.")
    try:
        told = _serializer().loads(await _token_of(request), max_age=LIFE_SECONDS)
    except SignatureExpired as error:
        raise HTTPException(403, "The page is too old. Load it again, then repeat what you did.") from error
    except BadSignature as error:
        raise HTTPException(403, "The request has no token of these pages. Load the page again.") from error
    if told != [access.user_id, request.cookies.get(COOKIE)]:
        raise HTTPException(403, "The page was made for somebody else. Load it again.")


async def _token_of(request: Request) -> str:
    """Of a script's request in a header, of a form's in a field."""
    told = request.headers.get(HEADER)
    if told is None and request.headers.get("content-type", "").startswith(_FORMS):
        told = str((await request.form()).get(FIELD, ""))
    return told or ""


def _from_here(request: Request) -> bool:
    """By `Sec-Fetch-Site`, which no page can forge and which every browser sends over https and to localhost; else by `Origin`
    (a form's is `null`, as our pages tell no referrer: there scripts send them)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(request.headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == request.headers.get("host")


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(get_signing_key("api", "secret_key"), salt=_SALT)
