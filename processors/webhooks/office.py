"""All couriers: one for each webhook that there is, and what their messages say."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from eventlog.alerts import Alert, AlertState
from eventlog.events import Organization
from eventlog.webhooks import Webhook
from processors.webhooks.bodies import Ask, Bodies
from processors.webhooks.courier import Courier, CourierLimits, GiveUp, Post
from processors.webhooks.deliveries import AlertTold, Delivery, Origin
from processors.webhooks.messages import CallTold, alert_message, call_message

Link = Callable[[Webhook, CallTold], str]
"""Where a call's bodies are found, for whoever hears of it."""


class Office:
    """Lives in one event loop; close it at the end."""

    def __init__(self, post: Post, ask: Ask, link: Link, give_up: GiveUp, limits: CourierLimits) -> None:
        self._post, self._link, self._give_up, self._limits = post, link, give_up, limits
        self._bodies = Bodies(ask)
        self._couriers: dict[str, Courier] = {}
        self._of: dict[Organization, list[Courier]] = {}
        self._made_of: Mapping[str, Webhook] | None = None

    def keep(self, webhooks: Mapping[str, Webhook]) -> None:
        """These are all there are."""
        if webhooks is self._made_of:
            return
        self._made_of = webhooks
        for id_ in [id_ for id_, courier in self._couriers.items() if webhooks.get(id_) != courier.webhook]:
            self._couriers.pop(id_).remove()
        for webhook in webhooks.values():
            if webhook.id not in self._couriers:
                self._couriers[webhook.id] = Courier(webhook, self._post, self._write, self._give_up, self._limits)
        self._of = {}
        for courier in self._couriers.values():
            self._of.setdefault(courier.webhook.organization, []).append(courier)

    @property
    def since(self) -> float | None:
        """No webhook hears of what was understood before then, in seconds since 1970. None: there is none."""
        return min((courier.webhook.created_at.timestamp() for courier in self._couriers.values()), default=None)

    def of(self, organization: Organization) -> Sequence[Courier]:
        return self._of.get(organization, ())

    @property
    def waiting(self) -> int:
        return sum(courier.waiting for courier in self._couriers.values())

    def tell(self, alert: Alert, state: AlertState, done: Callable[[], None], origin: Origin) -> bool:
        """Of an alert that began or ended. False where its webhook is gone, or takes nothing more now."""
        courier = self._couriers.get(alert.webhook)
        if courier is None:
            return False
        key = f"{alert.id}.{'on' if state.on else 'over'}.{state.since.isoformat()}"
        told = AlertTold(alert_message(alert, state))
        return courier.offer(Delivery(key=key, told=told, origin=origin, done=done, wanted=lambda: True))

    async def close(self, seconds: float) -> None:
        """What is under way has so long."""
        await asyncio.gather(*(courier.drain(seconds) for courier in self._couriers.values()))
        await self._bodies.close()

    async def _write(self, webhook: Webhook, delivery: Delivery, patient: bool) -> bytes | None:
        if isinstance(delivery.told, AlertTold):
            return delivery.told.body
        sides = await self._bodies.of(delivery.told)
        if patient and not sides.whole:
            return None
        return call_message(delivery.told, sides, self._link(webhook, delivery.told) if webhook.include_data else None)
