"""Prices of one's own over HTTP, on the query port: listed, set and taken away as `heliograph prices` does; and the invoice of a call.

What calls cost is the operator's word. So only whoever sees all sets a price; everybody sees those that their calls may be priced by.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from starlette.responses import Response

from eventlog.control import decide, retract
from eventlog.events import Organization
from eventlog.keys import Scope
from eventlog.own_prices import EVERY, BadPrice, OwnPrice, PricesRefused, checked_price, joined
from eventlog.own_rates import UNITS, amount_text
from runtime.decider import Decider
from runtime.deciding import Control
from runtime.invoices import explained, invoice_json
from runtime.moments import moment_of
from runtime.prices import By, Prices, shown
from storage.api import CallKey, Whose, call_asked, caller_of, rows_for
from storage.api_errors import error_answers
from storage.asked import CallAsked
from storage.refusal import Refusal, Refused
from storage.rest.bodies import nullable

EXAMPLE: dict[str, Any] = {
    "model": "gpt-4o*",
    "provider": "openai",
    "organization": None,
    "from": "2026-01-01",
    "until": None,
    "rates": {"input": "2.5", "output": "10"},
}
SUCH = EXAMPLE | {"organization": "acme", "until": "2027-01-01"}
ANSWER = {"id": "price-0a1b2c3d4e", **EXAMPLE, "from": "2026-01-01T00:00:00+00:00", "by": "set"}
INVOICE: dict[str, Any] = {
    "call_id": "019ab3f4-7c11-7cc3-98c4-dc0c0c07398f",
    "organization": "default",
    "created_at": "2026-11-24T03:30:00.123456Z",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "price_source": "own price for openai/gpt-4o*: input=2.5,output=10",
    "price_basis": "own",
    "price_context": {},
    "price_note": None,
    "lines": [
        {"for": "prompt", "count": "9", "unit": "tokens", "rate_usd": "2.5", "per": "million tokens", "amount_usd": "0.0000225"},
        {"for": "answer", "count": "8", "unit": "tokens", "rate_usd": "10", "per": "million tokens", "amount_usd": "0.00008"},
    ],
    "total_usd": "0.0001025",
    "cost_usd": "0.0001025",
    "reason": None,
}


_AMOUNTS = WithJsonSchema(
    {
        "type": "object",
        "description": f"USD for a million tokens; of `request`, for a call. As text or numbers, exact. Names: {', '.join(UNITS)}.",
        "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    }
)


class PriceSaid(BaseModel):
    """Rates, and which calls they are for. What is left out holds for all."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": EXAMPLE})

    model: str = Field(default=EVERY, description="A model, or a pattern with * and ?.")
    provider: Annotated[str | None, nullable("string", description="A lower-case name such as openai, or a host.")] = None
    organization: Annotated[str | None, nullable("string", description="Whose calls.")] = None
    since: Annotated[str | None, nullable("string", description="Calls from then on: 2026-01-01, UTC.")] = Field(None, alias="from")
    until: Annotated[str | None, nullable("string", description="Calls that began before then.")] = None
    rates: Annotated[dict[str, Any], _AMOUNTS]


class _ExactRequest(Request):
    async def json(self) -> Any:
        """With the digits that were sent: a binary fraction would not have them."""
        return json.loads(await self.body(), parse_float=Decimal)


class _ExactRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override] # they say Coroutine
        handler = super().get_route_handler()

        async def exactly(request: Request) -> Response:
            return await handler(_ExactRequest(request.scope, request.receive))

        return exactly


def _answers(example: object, *statuses: int) -> dict[int | str, dict[str, Any]]:
    described = {"description": "As JSON.", "content": {"application/json": {"example": example}}}
    return {200: described, **error_answers(*statuses)}


invoice_routes = APIRouter(tags=["asking"])


@invoice_routes.get("/v1/calls/{id:path}/price", responses=_answers(INVOICE, 401, 403, 404, 503), summary="The arithmetic of a call's cost")
async def invoice(id: CallKey, request: Request, organization: Whose = "") -> dict[str, Any]:  # noqa: A002 the name in the path
    """Each unit, count and rate, from what the call's row keeps; as `heliograph prices explain` prints it. `reason`: why there is none."""
    answer = await call_asked(request, CallAsked(key=id, organization=rows_for(request, organization), bodies=False))
    row = json.loads(answer.body, parse_float=str)
    return invoice_json(row, explained(row))


def price_routes(prices: Prices, control: Control) -> APIRouter:
    """Of prices: what this process knows, and what is decided on the control topic."""
    routes = APIRouter(prefix="/v1/prices", tags=["prices"], route_class=_ExactRoute)
    decider = Decider(control, again="Send it again in a moment: twice is as good as once. GET /v1/prices tells what counts.")

    @routes.get("", responses=_answers({"prices": [ANSWER]}, 401, 403, 503), summary="The prices of your own")
    async def known(request: Request) -> dict[str, Any]:
        """Those that were set, and those of the prices file here, which have no id; the most specific first: that is the one that counts.

        A caller sees those that are for its organization, or for every one; with the scope `admin`, all.
        """
        caller = caller_of(request)
        if not control.known:
            raise Refused(_UNHEARD)
        visible = {None, caller.organization}
        every = request.app.state.admission.sees_all(caller)
        return {"prices": [shown(price, by) for price, by in prices.listed if every or price.organization in visible]}

    @routes.put("", responses=_answers(ANSWER, 400, 401, 403, 409, 413, 415, 422, 503), summary="Set a price")
    async def put(said: PriceSaid, request: Request) -> dict[str, Any]:
        """It counts in the place of the price list's from the next call on; of several, the most specific one does.

        One for the same organization, provider, model and `from` is replaced. It takes a key with the scope `admin`.
        """
        _let_operator_in(request, control)
        price = _price(said)
        async with decider.deciding() as (log, decided):
            try:
                await asyncio.to_thread(joined, decided.own_prices, price)
            except PricesRefused as error:
                raise Refused(Refusal(code=error.code, message=error.fault, fix=error.fix, status=409)) from None
            await decide(log, [price])
        await decider.heard(lambda known: price in known.own_prices)
        return shown(price, By.SET)

    @routes.delete("/{id}", responses=_answers(ANSWER, 401, 403, 404, 503), summary="Take a price away")
    async def delete(id: str, request: Request) -> dict[str, Any]:  # noqa: A002 the name in the path
        """Calls that were priced by it keep their cost. It takes a key with the scope `admin`."""
        _let_operator_in(request, control)
        async with decider.deciding() as (log, decided):
            price = next((each for each in decided.own_prices if each.id == id), None)
            if price is None:
                raise Refused(_not_there(id, prices))
            await retract(log, [price])
        await decider.heard(lambda known: price not in known.own_prices)
        return shown(price, By.SET)

    return routes


def _let_operator_in(request: Request, control: Control) -> None:
    """Raises Refused."""
    try:
        caller = caller_of(request, Scope.ADMIN)
    except Refused as refused:
        raise refused if refused.refusal.status != 403 else Refused(_OPERATORS) from None
    if not control.known:
        raise Refused(_UNHEARD)
    if not request.app.state.admission.sees_all(caller):
        raise Refused(_OPERATORS)


def _price(said: PriceSaid) -> OwnPrice:
    """Raises Refused."""
    try:
        return checked_price(
            OwnPrice(
                organization=None if said.organization is None else Organization(said.organization),
                provider=said.provider,
                model=said.model,
                since=_moment("from", said.since),
                until=_moment("until", said.until),
                rates={name: _amount(name, amount) for name, amount in said.rates.items()},
            )
        )
    except BadPrice as error:
        fix = f"Such as {json.dumps({error.field: SUCH[error.field]})}; /docs shows more."
        raise Refused(Refusal(code="invalid_field", message=f"{error}.", fix=fix, field=error.field, status=422)) from None


def _moment(field: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else moment_of(text)
    except ValueError as error:
        raise BadPrice(field, f"{field}: {error}") from None


def _amount(name: str, amount: object) -> str:
    try:
        return amount_text(amount)
    except ValueError as error:
        raise BadPrice("rates", f"rates: {name[:40]!r} {error}") from None


_OPERATORS = Refusal(
    code="scope_missing",
    message="What calls cost is the operator's to say: this caller may neither set a price nor take one away.",
    fix="Send Authorization: Bearer, then a key with the scope `admin`.",
    field="Authorization",
    status=403,
)
_UNHEARD = Refusal(
    code="log_unavailable",
    message="Which prices are set is not known yet: the event log is not reached.",
    fix="Try again in a moment; the server's log says why.",
    status=503,
)


def _not_there(id_: str, prices: Prices) -> Refusal:
    file = prices.in_file(id_)
    if file is not None:
        return Refusal(
            code="price_in_file",
            message=f"The price {id_} was not set: it stands in {file}.",
            fix="Take it out of the file; that counts within seconds, with nothing restarted.",
            field="id",
            status=404,
        )
    return Refusal(
        code="price_not_found",
        message=f"No price is set that is named {id_[:100]!r}.",
        fix="GET /v1/prices names them.",
        field="id",
        status=404,
    )
