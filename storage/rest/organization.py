"""Whose key it is: `GET /v1/organization`."""

from fastapi import APIRouter, Request, Response

from storage.api import caller_of
from storage.rest.envelope import ANSWERS, Enveloped, data

router = APIRouter(route_class=Enveloped, tags=["keys"], responses=ANSWERS)


@router.get("/v1/organization", summary="The organization of the caller")
async def organization(request: Request) -> Response:
    """A list of one. Helicone's is of a person's organizations; there are no persons here, and an organization is its name."""
    caller = caller_of(request)
    role = "admin" if request.app.state.admission.sees_all(caller) else "member"
    return data([{"id": caller.organization, "name": caller.organization, "role": role}])
