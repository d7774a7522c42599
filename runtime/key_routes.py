"""Keys over HTTP, on the query port, as Helicone's API has them: listed, made, renamed, taken away, as `heliograph keys` does.

Each key with the scope `admin` does so for its own organization. Nobody does who shows no such key, also where nobody has to show any: what
merely reaches the port is not to make itself at home there.
Source: Helicone's `apiKeyController` and `KeyManager` (read 2026-11). They answer what was made, renamed or taken away without an envelope,
unlike all else: here its fields stand in both places.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Request, Response
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field

from eventlog.control import Decided, decide
from eventlog.keys import ApiKey, Caller, Scope
from runtime.decider import Decider
from runtime.deciding import Control
from runtime.made_keys import made, revoked
from storage.api import caller_of
from storage.refusal import Refused
from storage.rest.envelope import ANSWERS, Enveloped, Wrong, data

log = structlog.get_logger()

HASH_SHOWN = 16
"""Digits of a key's digest that are told."""
NAME_CHARACTERS = 256


class Permissions(StrEnum):
    """What a key may, in Helicone's letters."""

    READ_WRITE = "rw"
    READ = "r"
    WRITE = "w"


SCOPES = {
    Permissions.READ_WRITE: (Scope.WRITE, Scope.READ),
    Permissions.READ: (Scope.READ,),
    Permissions.WRITE: (Scope.WRITE,),
}
Name = Annotated[str, Field(description="What people call it.", min_length=1, max_length=NAME_CHARACTERS, pattern=r"\S")]
KeyId = Annotated[str, Path(description="Its id, as the list tells it.", max_length=100)]


class KeyWanted(BaseModel):
    """A key that is to be made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"api_key_name": "support bot", "key_permissions": "rw"}})

    api_key_name: Name
    key_permissions: Permissions = Field(Permissions.READ_WRITE, description="`rw`; `r`: ask; `w`: make calls, log, rate.")


class KeyNamed(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"api_key_name": "support bot"}})

    api_key_name: Name


def key_routes(control: Control, clock: Callable[[], float]) -> APIRouter:
    """`clock` gives seconds since 1970."""
    decider = Decider(control, again="GET /v1/api-keys tells what counts.")
    routes = APIRouter(prefix="/v1/api-keys", tags=["keys"], route_class=Enveloped, responses=ANSWERS)

    def now() -> datetime:
        return datetime.fromtimestamp(clock(), UTC)

    @routes.get("", summary="An organization's keys")
    async def listed(request: Request) -> Response:
        """Those that are good, oldest first. A key itself is kept nowhere."""
        caller = manager(request, control)
        known = sorted((control.keys() or {}).values(), key=lambda key: key.created_at)
        return data([shown(key) for key in known if key.organization == caller.organization and key.ended(now()) is None])

    @routes.post("", summary="Make a key")
    async def create(wanted: KeyWanted, request: Request) -> Response:
        """`apiKey` is the key: it is told this once. It is good at once, for the organization of whoever makes it."""
        caller = manager(request, control)
        text, key = made(wanted.api_key_name, caller.organization, SCOPES[wanted.key_permissions], now())
        async with decider.deciding() as (events, _):
            await decide(events, [key])
        await decider.heard(lambda known: key.digest in known.keys)
        return _done("created", key, caller, apiKey=text, id=key.id)

    @routes.patch("/{id}", summary="Rename a key")
    async def rename(id: KeyId, named: KeyNamed, request: Request) -> Response:  # noqa: A002 the name in the path
        """What it may, and whose it is, stays."""
        caller = manager(request, control)
        async with decider.deciding() as (events, decided):
            old = _own(decided, id, caller)
            if (ended := old.ended(now())) is not None:
                raise Wrong(f"This API key is {ended}; make another.", 409)
            key = replace(old, name=named.api_key_name.strip())
            await decide(events, [key])
        await decider.heard(lambda known: any(each.id == key.id and each.name == key.name for each in known.keys.values()))
        return _done("renamed", key, caller)

    @routes.delete("/{id}", summary="Take a key away")
    async def delete(id: KeyId, request: Request) -> Response:  # noqa: A002 the name in the path
        """It is nobody's from now on. Taking it away again changes nothing."""
        caller = manager(request, control)
        async with decider.deciding() as (events, decided):
            key = _own(decided, id, caller)
            await decide(events, revoked(key, now()))
        await decider.heard(lambda known: all(each.id != key.id or each.revoked_at is not None for each in known.keys.values()))
        return _done("revoked", key, caller)

    return routes


def shown(key: ApiKey) -> dict[str, Any]:
    """As Helicone's list has it; what it begins with, its scopes and its end are ours."""
    scopes = {scope for scope in (Scope.READ, Scope.WRITE) if key.may(scope)}
    letters = next(letters for letters, given in SCOPES.items() if set(given) == scopes)
    return {
        "id": key.id,
        "api_key_name": key.name,
        "api_key_hash": _hash(key),
        "created_at": key.created_at.isoformat(),
        "key_permissions": letters,
        "organization_id": key.organization,
        "soft_delete": False,
        "temp_key": False,
        "begins_with": key.shown,
        "scopes": key.scopes,
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
    }


def _hash(key: ApiKey) -> str:
    return f"{key.digest[:HASH_SHOWN]}…"


def _done(what: str, key: ApiKey, caller: Caller, **told: str) -> Response:
    log.info("key_decided", what=what, id=key.id, organization=key.organization, by=caller.key.id if caller.key else None)
    fields: dict[str, Any] = {"hashedKey": _hash(key), **told}
    return data(fields, **fields)


def manager(request: Request, control: Control) -> Caller:
    """Who may decide of keys, and of what else is for whoever has the scope `admin`. Raises Refused and Wrong."""
    if control.keys() is None:
        raise Wrong("Which keys there are is not known yet: the event log is not reached. Try again in a moment.", 503)
    try:
        caller = caller_of(request, Scope.ADMIN)
    except Refused as refused:
        if refused.refusal.status != 403:
            raise
        raise Wrong(_NOBODY, 403) from None
    if caller.key is None:
        raise Wrong(_NOBODY, 403)
    return caller


_NOBODY = (
    "Only a key with the scope admin decides of keys. Where Heliograph runs, `heliograph keys create NAME --scope admin` makes one; send it"
    " as Authorization: Bearer."
)


def _own(decided: Decided, id_: str, caller: Caller) -> ApiKey:
    """A key of the caller's organization, by its id. Raises Wrong."""
    for key in decided.keys.values():
        if key.id == id_ and key.organization == caller.organization:
            return key
    raise Wrong("API key not found; GET /v1/api-keys lists them.", 404)
