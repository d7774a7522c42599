"""How long an organization's rows stay, over HTTP, as `heliograph retention` has it: asked, set and cleared with the scope `admin`.

What holds for all is the operator's, and is set by the command alone.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from eventlog.control import Decided, decide, retract
from eventlog.events import Organization
from eventlog.lifetimes import MOST_DAYS, BadRetention, Span, decided_anew, lifetimes
from runtime.decider import Decider
from runtime.deciding import Control
from runtime.key_routes import manager
from storage.rest.envelope import ANSWERS, Enveloped, Wrong, data

log = structlog.get_logger()

PATH = "/v1/retention"


class Wanted(BaseModel):
    """How long rows are to stay."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"facts_days": 365, "bodies_days": 30}})

    facts_days: int | SkipJsonSchema[None] = Field(None, ge=0, le=MOST_DAYS, description="Days that calls and feedback stay; 0: for ever.")
    bodies_days: int | SkipJsonSchema[None] = Field(
        None, ge=0, le=MOST_DAYS, description="The same of bodies and dead letters: no more than facts."
    )


def retention_routes(control: Control, usual: Span, clock: Callable[[], float]) -> APIRouter:
    """`usual`: what the settings say. `clock` gives seconds since 1970."""
    decider = Decider(control, again=f"GET {PATH} tells what counts.")
    routes = APIRouter(tags=["retention"], route_class=Enveloped, responses=ANSWERS)

    @routes.get(PATH, summary="How long rows stay")
    async def asked(request: Request) -> Response:
        """In days; null: for ever. `own`: whether it was decided for this organization."""
        return data(_shown(decider.known(), usual, manager(request, control).organization))

    @routes.put(PATH, summary="Say how long rows stay")
    async def put(wanted: Wanted, request: Request) -> Response:
        """What is not said stays as it was said before. What is older is removed within the hour, for good."""
        whose = manager(request, control).organization
        said = Span(wanted.facts_days, wanted.bodies_days)
        if said == Span():
            raise Wrong("Say facts_days, bodies_days, or both; 0 is for ever.", 400)
        async with decider.deciding() as (events, decided):
            try:
                new, _ = decided_anew(decided.retentions, usual, whose, said, datetime.fromtimestamp(clock(), UTC))
            except BadRetention as error:
                raise Wrong(f"bodies_days: {error}. Say as many days for bodies, or fewer.", 400) from None
            await decide(events, [new])
        await decider.heard(lambda known: known.retentions.get(whose) == new)
        log.info("retention_decided", organization=whose, facts_days=new.facts_days, bodies_days=new.bodies_days)
        return data(_shown(decider.known(), usual, whose))

    @routes.delete(PATH, summary="Take away what was said of how long rows stay")
    async def clear(request: Request) -> Response:
        """What holds for all counts then. Taking it away again changes nothing."""
        whose = manager(request, control).organization
        async with decider.deciding() as (events, decided):
            if (said := decided.retentions.get(whose)) is not None:
                await retract(events, [said])
        await decider.heard(lambda known: whose not in known.retentions)
        log.info("retention_decided", organization=whose, cleared=True)
        return data(_shown(decider.known(), usual, whose))

    return routes


def _shown(decided: Decided, usual: Span, whose: Organization) -> dict[str, Any]:
    span = lifetimes(decided.retentions.values(), usual).of(whose)
    return {"facts_days": span.days(bodies=False), "bodies_days": span.days(bodies=True), "own": whose in decided.retentions}
