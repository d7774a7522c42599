"""Webhooks and alerts over HTTP, on the query port: made, listed, tried, taken away, each by its organization.

Whoever makes a webhook is told what calls say: so it takes a key that may both read and write.
"""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from eventlog.alerts import Aggregation, AlertMetric
from eventlog.control import decide, retract
from eventlog.events import Organization
from eventlog.keys import Scope
from runtime.decider import Decider
from runtime.deciding import Control
from runtime.moments import now
from runtime.settings import Settings
from runtime.webhook_posting import told_of_test, try_out
from runtime.webhooks import (
    InUse,
    Unfit,
    alerts_of,
    new_alert,
    new_webhook,
    shown_alert,
    shown_webhook,
    webhooks_of,
    without_alert,
    without_webhook,
)
from storage.api import caller_of
from storage.rest.bodies import Body, nullable
from storage.rest.envelope import ANSWERS, FAILURE_SCHEMA, Enveloped, Wrong, data

Key = Annotated[str, Path(max_length=1000)]


class PropertySaid(Body):
    """A property and the value that it must have."""

    key: str
    value: str


class WebhookConfig(Body):
    sample_rate: float = Field(
        default=100, alias="sampleRate", description="Percent of the calls, 0 to 100; a call is in it or not for good."
    )
    filters: list[PropertySaid] = Field(default=[], alias="propertyFilters", description="All must hold.")


class WebhookSaid(Body):
    destination: str = Field(description="An https URL.", examples=["https://app.example/hook"])
    config: WebhookConfig = WebhookConfig()
    include_data: bool = Field(default=True, alias="includeData", description="Model, cost, tokens, latency and a link to the bodies, too.")


_PROPERTY: dict[str, Any] = {
    "description": "Only calls with this property.",
    "required": ["key", "value"],
    "properties": {"key": {"type": "string"}, "value": {"type": "string"}},
    "additionalProperties": False,
}


class AlertSaid(Body):
    name: str
    metric: AlertMetric = Field(description="`cost` (USD, the sum), `error_rate` (percent) or `latency` (milliseconds).")
    threshold: float = Field(description="The alert goes on while the metric is beyond it.")
    aggregation: Aggregation = Field(default=Aggregation.P95, description="Of latencies: `p95` or `mean`.")
    window_s: int = Field(default=3600, alias="time_window_s", description="Calls of the last so many seconds count: 60 to 2592000.")
    minimum_calls: int = Field(default=1, alias="minimum_request_count", description="With fewer calls it does not go on.", le=2**31)
    cool_down_s: int = Field(default=300, description="It begins or ends at most once in so many seconds.")
    user_id: Annotated[str | None, nullable("string", description="Only this user's calls.")] = None
    property: Annotated[PropertySaid | None, nullable("object", **_PROPERTY)] = None
    webhook_id: str = Field(description="The webhook that is told.")


_GONE: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {"application/json": {"schema": FAILURE_SCHEMA}}}
    for status, description in {404: "There is none of this id.", 409: "Something needs it."}.items()
}


def webhook_routes(chosen: Settings, control: Control) -> APIRouter:
    """All of them: what this process knows, and what is decided on the control topic."""
    routes = APIRouter(route_class=Enveloped, responses={**ANSWERS, **_GONE})
    decider = Decider(control, again="GET the list before sending it again: it may have been decided.")
    _add_webhooks(routes, chosen, decider)
    _add_alerts(routes, decider)
    return routes


def _add_webhooks(routes: APIRouter, chosen: Settings, decider: Decider) -> None:
    @routes.post("/v1/webhooks", summary="Make a webhook", tags=["webhooks"])
    async def add(said: WebhookSaid, request: Request) -> Response:
        """It hears of calls from a second later on. `hmac_key` is what its messages are signed with."""
        organization = _organization(request)
        async with decider.deciding() as (log, decided):
            try:
                webhook = new_webhook(
                    decided,
                    organization,
                    said.destination,
                    sample_rate=said.config.sample_rate,
                    filters=[(each.key, each.value) for each in said.config.filters],
                    include_data=said.include_data,
                    now=now(),
                    allow_private=chosen.allow_private_targets,
                )
            except Unfit as error:
                raise Wrong(str(error)) from None
            await decide(log, [webhook])
        await decider.heard(lambda known: webhook.id in known.webhooks)
        return data(shown_webhook(webhook))

    @routes.get("/v1/webhooks", summary="The organization's webhooks", tags=["webhooks"])
    async def listed(request: Request) -> Response:
        """The oldest first."""
        organization = _organization(request)
        return data([shown_webhook(each) for each in webhooks_of(decider.known(), organization).values()])

    @routes.delete("/v1/webhooks/{id}", status_code=201, summary="Take a webhook away", tags=["webhooks"])
    async def remove(id: Key, request: Request) -> Response:  # noqa: A002 the name in the path
        """What waits for it is not delivered, and its links no longer open."""
        organization = _organization(request)
        async with decider.deciding() as (log, decided):
            webhook = webhooks_of(decided, organization).get(id)
            if webhook is None:
                raise Wrong("Webhook not found", 404)
            try:
                gone = without_webhook(decided, webhook)
            except InUse as error:
                raise Wrong(str(error), 409) from None
            await retract(log, gone)
        await decider.heard(lambda known: id not in known.webhooks)
        return data(None, 201)

    @routes.post("/v1/webhooks/{id}/test", summary="Send a webhook a test message", tags=["webhooks"])
    async def test(id: Key, request: Request) -> Response:  # noqa: A002 the name in the path
        """Once, now, about a call that never was; it has ten seconds. `success` says whether the webhook took it."""
        organization = _organization(request)
        webhook = webhooks_of(decider.known(), organization).get(id)
        if webhook is None:
            raise Wrong("Webhook not found", 404)
        tried = await try_out(chosen, webhook)
        return data({"success": tried.taken, "message": told_of_test(tried)})


def _add_alerts(routes: APIRouter, decider: Decider) -> None:
    @routes.post("/v1/alerts", summary="Make an alert", tags=["alerts"])
    async def add(said: AlertSaid, request: Request) -> Response:
        """It tells its webhook once when it begins, and once when it is over."""
        organization = _organization(request)
        async with decider.deciding() as (log, decided):
            try:
                alert = new_alert(
                    decided,
                    organization,
                    said.name,
                    metric=said.metric,
                    threshold=said.threshold,
                    aggregation=said.aggregation,
                    window=_span("time_window_s", said.window_s),
                    minimum_calls=said.minimum_calls,
                    cool_down=_span("cool_down_s", said.cool_down_s),
                    user_id=said.user_id,
                    property_=None if said.property is None else (said.property.key, said.property.value),
                    webhook=said.webhook_id,
                    now=now(),
                )
            except Unfit as error:
                raise Wrong(str(error)) from None
            await decide(log, [alert])
        await decider.heard(lambda known: alert.id in known.alerts)
        return data(shown_alert(alert, None))

    @routes.get("/v1/alerts", summary="The organization's alerts", tags=["alerts"])
    async def listed(request: Request) -> Response:
        """The oldest first; `status` is `on` while one goes on."""
        organization = _organization(request)
        known = decider.known()
        return data([shown_alert(each, known.alert_states.get(each.id)) for each in alerts_of(known, organization).values()])

    @routes.delete("/v1/alerts/{id}", status_code=201, summary="Take an alert away", tags=["alerts"])
    async def remove(id: Key, request: Request) -> Response:  # noqa: A002 the name in the path
        """One that goes on is not told to be over."""
        organization = _organization(request)
        async with decider.deciding() as (log, decided):
            alert = alerts_of(decided, organization).get(id)
            if alert is None:
                raise Wrong("Alert not found", 404)
            await retract(log, without_alert(decided, alert))
        await decider.heard(lambda known: id not in known.alerts)
        return data(None, 201)


def _organization(request: Request) -> Organization:
    """Whose webhooks and alerts they are. Raises Refused for a key that may not both read and write."""
    caller_of(request, Scope.READ)
    return caller_of(request, Scope.WRITE).organization


def _span(field: str, seconds: int) -> timedelta:
    """Raises Unfit for what no span can hold."""
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise Unfit(field, "is too large") from None
