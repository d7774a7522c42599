"""Webhooks and alerts as people say them, over HTTP or in a terminal: checked, made, shown, taken away."""

import math
import secrets
import socket
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from eventlog.alerts import LONGEST, SHORTEST, Aggregation, Alert, AlertMetric, AlertState
from eventlog.control import Decided, Decision
from eventlog.events import Organization
from eventlog.webhooks import ALL, PropertyIs, Webhook
from ingress.addresses import is_public
from ingress.upstream import Origin
from runtime.guard import is_loopback

MOST_WEBHOOKS, MOST_ALERTS = 50, 100
"""Of an organization."""
MOST_FILTERS = 20
LONGEST_TEXT = 2000
KEY_BYTES = 32
VERSION = "2024-10-22"
"""Of Helicone's webhooks: what their messages look like."""


class Unfit(Exception):
    """It cannot be so. The message names the field."""

    def __init__(self, field: str, fault: str) -> None:
        super().__init__(f"{field} {fault}")
        self.field, self.fault = field, fault


class InUse(Exception):
    """It cannot be taken away: something needs it."""


def new_webhook(
    known: Decided,
    organization: Organization,
    destination: str,
    *,
    sample_rate: float,
    filters: Iterable[tuple[str, str]],
    include_data: bool,
    now: datetime,
    allow_private: bool,
) -> Webhook:
    """Raises Unfit."""
    check_destination(destination, allow_private=allow_private)
    if not 0 <= sample_rate <= ALL:  # NaN is neither
        raise Unfit("config.sampleRate", "must be 0 to 100 (percent of the calls)")
    found = tuple(_property("config.propertyFilters", key, value) for key, value in filters)
    if len(found) > MOST_FILTERS:
        raise Unfit("config.propertyFilters", f"has more than {MOST_FILTERS} filters")
    if sum(each.organization == organization for each in known.webhooks.values()) >= MOST_WEBHOOKS:
        raise Unfit("destination", f"would be the organization's webhook number {MOST_WEBHOOKS + 1}; remove one first")
    return Webhook(
        id=str(uuid.uuid4()),
        organization=organization,
        destination=destination,
        hmac_key=secrets.token_hex(KEY_BYTES),
        link_key=secrets.token_hex(KEY_BYTES),
        sample_rate=float(sample_rate),
        property_filters=found,
        include_data=include_data,
        created_at=now,
    )


def check_destination(destination: str, *, allow_private: bool) -> None:
    """By its spelling. Where a name leads is judged at each delivery. Raises Unfit."""
    if len(destination) > LONGEST_TEXT or not destination.isascii():
        raise Unfit("destination", f"must be a URL of at most {LONGEST_TEXT} ASCII characters; encode others as %XX")
    try:
        origin, _ = Origin.parse(destination)
    except ValueError as error:
        raise Unfit("destination", f"must be a URL such as https://app.example/hook: {error}") from None
    if "@" in urlsplit(destination).netloc:
        raise Unfit("destination", "must not have a user or a password in it; a receiver checks the signature instead")
    if allow_private:
        return
    if origin.scheme != "https":
        raise Unfit("destination", "must begin with https://; the operator may allow http by HELIOGRAPH_ALLOW_PRIVATE_TARGETS=true")
    if is_loopback(origin.host) or not _may_be_public(origin.host):
        raise Unfit("destination", "must be a public address; the operator may allow others by HELIOGRAPH_ALLOW_PRIVATE_TARGETS=true")


def _may_be_public(host: str) -> bool:
    try:
        return is_public(ip_address(host))
    except ValueError:
        pass
    try:
        return is_public(IPv4Address(socket.inet_aton(host)))  # 127.1, 0x7f000001 and the like
    except OSError:
        return True


def new_alert(
    known: Decided,
    organization: Organization,
    name: str,
    *,
    metric: AlertMetric,
    threshold: float,
    aggregation: Aggregation,
    window: timedelta,
    minimum_calls: int,
    cool_down: timedelta,
    user_id: str | None,
    property_: tuple[str, str] | None,
    webhook: str,
    now: datetime,
) -> Alert:
    """Raises Unfit."""
    _check_text("name", name)
    _check_text("user_id", user_id)
    if not name.strip() or len(name) > LONGEST_TEXT:
        raise Unfit("name", f"must be 1 to {LONGEST_TEXT} characters")
    if not math.isfinite(threshold) or threshold < 0:
        raise Unfit("threshold", "must be a number from 0 on: USD, percent or milliseconds")
    if not SHORTEST <= window <= LONGEST:
        raise Unfit("time_window_s", "must be 60 to 2592000 seconds (a minute to 30 days)")
    if minimum_calls < 1:
        raise Unfit("minimum_request_count", "must be 1 at least")
    if not timedelta(0) <= cool_down <= LONGEST:
        raise Unfit("cool_down_s", "must be 0 to 2592000 seconds")
    if webhook not in webhooks_of(known, organization):
        raise Unfit("webhook_id", "is no webhook of the organization; make one first")
    if len(alerts_of(known, organization)) >= MOST_ALERTS:
        raise Unfit("name", f"would be the organization's alert number {MOST_ALERTS + 1}; remove one first")
    return Alert(
        id=str(uuid.uuid4()),
        organization=organization,
        name=name.strip(),
        metric=metric,
        threshold=float(threshold),
        aggregation=aggregation,
        window_s=int(window.total_seconds()),
        minimum_calls=minimum_calls,
        cool_down_s=int(cool_down.total_seconds()),
        user_id=user_id,
        property=None if property_ is None else _property("property", *property_),
        webhook=webhook,
        created_at=now,
    )


def _check_text(field: str, *texts: str | None) -> None:
    """JSON can send halves of characters, and no log takes them."""
    try:
        "".join(text for text in texts if text is not None).encode()
    except UnicodeEncodeError:
        raise Unfit(field, "holds half of a character; send whole ones") from None


def _property(field: str, key: str, value: str) -> PropertyIs:
    _check_text(field, key, value)
    if not key.strip() or len(key) > LONGEST_TEXT or len(value) > LONGEST_TEXT:
        raise Unfit(field, f"must name a property, and both key and value have at most {LONGEST_TEXT} characters")
    return PropertyIs(key=key.strip().lower(), value=value)


def webhooks_of(known: Decided, organization: Organization | None) -> Mapping[str, Webhook]:
    """By id, the oldest first. None: of all."""
    found = [each for each in known.webhooks.values() if organization in {None, each.organization}]
    return {each.id: each for each in sorted(found, key=lambda each: (each.created_at, each.id))}


def alerts_of(known: Decided, organization: Organization | None) -> Mapping[str, Alert]:
    """By id, the oldest first. None: of all."""
    found = [each for each in known.alerts.values() if organization in {None, each.organization}]
    return {each.id: each for each in sorted(found, key=lambda each: (each.created_at, each.id))}


def without_webhook(known: Decided, webhook: Webhook) -> list[Decision]:
    """What is to be retracted. Raises InUse."""
    needing = [alert.name for alert in known.alerts.values() if alert.webhook == webhook.id]
    if needing:
        raise InUse(f"The alert {needing[0]!r} tells this webhook; remove the alert first.")
    return [webhook]


def without_alert(known: Decided, alert: Alert) -> list[Decision]:
    """What is to be retracted."""
    state = known.alert_states.get(alert.id)
    return [alert] if state is None else [alert, state]


def shown_webhook(webhook: Webhook) -> dict[str, Any]:
    """With its key: for its organization alone."""
    return {
        "id": webhook.id,
        "created_at": webhook.created_at,
        "destination": webhook.destination,
        "version": VERSION,
        "config": {
            "sampleRate": webhook.sample_rate,
            "propertyFilters": [{"key": each.key, "value": each.value} for each in webhook.property_filters],
            "includeData": webhook.include_data,
        },
        "hmac_key": webhook.hmac_key,
    }


def shown_alert(alert: Alert, state: AlertState | None) -> dict[str, Any]:
    return {
        "id": alert.id,
        "created_at": alert.created_at,
        "name": alert.name,
        "metric": alert.metric,
        "aggregation": alert.aggregation if alert.metric is AlertMetric.LATENCY else None,
        "threshold": alert.threshold,
        "time_window_s": alert.window_s,
        "minimum_request_count": alert.minimum_calls,
        "cool_down_s": alert.cool_down_s,
        "user_id": alert.user_id,
        "property": alert.property,
        "webhook_id": alert.webhook,
        "status": "on" if state is not None and state.on else "off",
        "since": None if state is None else state.since,
    }
