"""The role that tells webhooks of calls, and watches alerts. Several may run on Kafka, which shares the partitions among them."""

import asyncio
import socket
import time
from collections.abc import Callable

from eventlog.following import Following
from eventlog.port import Log
from eventlog.topics import CALLS
from eventlog.waiting import first_of
from eventlog.webhooks import Webhook
from processors.webhooks.courier import CourierLimits
from processors.webhooks.messages import CallTold
from processors.webhooks.office import Office
from processors.webhooks.telling import GROUP, READS, Lettering, Telling
from runtime.alerting import Alerting
from runtime.cluster import open_log
from runtime.deciding import beside, copy_of, opened_log
from runtime.health import Membership, health_served
from runtime.lags import Lags, keep_measuring
from runtime.late_lake import LateLake
from runtime.outward import sender
from runtime.settings import Settings
from runtime.webhook_posting import Posting
from storage.rest.links import webhook_link

LEASE = (CALLS.name, 0)
"""Whoever holds this partition does what one must do alone."""
BODIES = "/v1/request/{}/bodies"


async def run(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Until `stop` is set: what is under way then has a few seconds, and the rest waits on the log. Raises Misconfigured."""
    member = Membership()
    async with health_served(chosen, sockets, lambda: member.readiness):
        events = await open_log(chosen, stop, waiting=ready, outage=member.outage)
        if events is None:
            return
        chosen.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        following = Following(lambda: opened_log(chosen), copy_of(chosen))
        try:
            ready()
            async with beside(following.run(), "webhooks"):
                if await first_of(following.heard, stop):  # a copy may be of long ago: what it lacks would hear of nothing
                    await _work(chosen, events, following, member, stop)
        finally:
            await events.close()


async def _work(chosen: Settings, events: Log, following: Following, member: Membership, stop: asyncio.Event) -> None:
    outward, lake, letters = sender(chosen), LateLake(chosen), Lettering()
    post = Posting(outward, seconds=chosen.webhooks.attempt_s, allow_private=chosen.allow_private_targets)
    office = Office(post, lake.bodies, links_of(chosen), letters.give_up, limits_of(chosen))
    telling = Telling(events, lambda: following.decided.webhooks, office, letters, clock=time.time, on_change=member.hear)
    alerting = Alerting(events, lambda: following.decided, office, lake.measured, clock=time.time, ours=lambda: member.holds(LEASE))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(telling.run(stop))
            group.create_task(alerting.run(chosen.webhooks.alerts_every_s, stop))
            group.create_task(keep_measuring(Lags(events, {GROUP: READS}, member.outage), stop))
    finally:
        await lake.close()
        await outward.aclose()


def limits_of(chosen: Settings) -> CourierLimits:
    """What one webhook may take."""
    said = chosen.webhooks
    return CourierLimits(waiting=said.waiting, at_once=said.at_once, give_up_s=said.give_up_s)


def links_of(chosen: Settings) -> Callable[[Webhook, CallTold], str]:
    base = chosen.public_url or f"http://localhost:{chosen.api_port}"

    def link(webhook: Webhook, call: CallTold) -> str:
        path, organization = BODIES.format(call.call_id), call.organization
        return webhook_link(base, path, webhook=webhook.id, secret=webhook.link_key, now=time.time(), organization=organization)

    return link
