"""What people decided, such as keys: records of the compacted control topic, and what they come to.

Each record replaces the one before of the same key; an empty one takes it away. Whoever needs to know follows the topic from its first
record, and has a copy on disk for the time when the log is away.
"""

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import quote
from zlib import crc32

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from eventlog.alerts import Alert, AlertState
from eventlog.codec import BatchId, Message, Record
from eventlog.erasure import Erasure
from eventlog.events import Organization
from eventlog.kept import HiddenProperty, SavedQuery
from eventlog.keys import ApiKey, KeyEnd, Keys, OrganizationDefaults, Revocation
from eventlog.lifetimes import Retention
from eventlog.own_prices import BadPrice, OwnPrice, checked_price
from eventlog.port import Log
from eventlog.redaction import Redaction
from eventlog.topics import CONTROL
from eventlog.vault import ProviderKey
from eventlog.webhooks import Webhook

Decision = (
    Alert
    | AlertState
    | ApiKey
    | Erasure
    | HiddenProperty
    | KeyEnd
    | OrganizationDefaults
    | OwnPrice
    | ProviderKey
    | Redaction
    | Retention
    | Revocation
    | SavedQuery
    | Webhook
)
"""Whatever may be decided. Unknown kinds, of a later version, are passed over."""

log = structlog.get_logger()

_decoder = msgspec.json.Decoder(Decision)


def _checked(decision: Decision) -> Decision:
    """A price that this version cannot reckon with counts no more than a kind that it does not know. Raises BadPrice."""
    return checked_price(decision) if isinstance(decision, OwnPrice) else decision


def key_of(decision: Decision) -> str:
    """What a later decision has to bear to take its place."""
    match decision:
        case Alert(id=id_):
            return f"alert/{id_}"
        case AlertState(id=id_):
            return f"alert-state/{id_}"
        case Webhook(id=id_):
            return f"webhook/{id_}"
        case SavedQuery() | Erasure():
            return f"{decision.__struct_config__.tag}/{decision.id}"
        case HiddenProperty(organization=organization, key=key):
            return f"hidden-property/{quote(key, safe='')}/{organization}"
        case ApiKey(id=id_):
            return f"api-key/{id_}"
        case ProviderKey(organization=organization, provider=provider):
            return f"provider-key/{provider}/{organization}"
        case OwnPrice():
            return f"own-price/{decision.key}"
        case Revocation(id=id_):
            return f"revocation/{id_}"
        case KeyEnd(id=id_):
            return f"key-end/{id_}"
        case OrganizationDefaults() | Redaction() | Retention():
            return f"{decision.__struct_config__.tag}/{decision.organization}"


class Decided:
    """All that counts now."""

    def __init__(self) -> None:
        self._decisions: dict[str, Decision] = {}
        self.keys: Keys = {}
        """As they were decided."""
        self.keys_in_effect: Keys = {}
        """With what holds for their organizations."""
        self.defaults: Mapping[Organization, OrganizationDefaults] = {}
        self.provider_keys: Mapping[tuple[Organization, str], ProviderKey] = {}
        """By organization and provider."""
        self.redactions: Mapping[Organization, Redaction] = {}
        self.retentions: Mapping[Organization, Retention] = {}
        self.erasures: tuple[Erasure, ...] = ()
        self.own_prices: tuple[OwnPrice, ...] = ()
        self.webhooks: Mapping[str, Webhook] = {}
        self.alerts: Mapping[str, Alert] = {}
        self.alert_states: Mapping[str, AlertState] = {}
        """By the id of the webhook, or of the alert."""
        self.saved_queries: Mapping[str, SavedQuery] = {}
        """By id."""
        self.hidden_properties: frozenset[HiddenProperty] = frozenset()

    @property
    def decisions(self) -> list[Decision]:
        return list(self._decisions.values())

    def take(self, records: Iterable[Record]) -> None:
        """What these records decide, in their order."""
        self._put(dict(self._decisions), records)

    def begin(self, records: Iterable[Record]) -> None:
        """The same, and what was known before counts no more: these are all there are."""
        self._put({}, records)

    def _put(self, known: dict[str, Decision], records: Iterable[Record]) -> None:
        for record in records:
            key, value = record.message.key or "", record.message.value
            if not value.strip():
                known.pop(key, None)
                continue
            try:
                known[key] = _checked(_decoder.decode(value))
            except (msgspec.DecodeError, UnicodeDecodeError, BadPrice) as error:
                log.warning("decision_not_understood", key=key, offset=record.offset, error=str(error))
        self.replace(known)

    def replace(self, known: dict[str, Decision]) -> None:
        if known != self._decisions:
            self._decisions = known
            self.keys = keys_in(known.values())
            self.defaults = {each.organization: each for each in known.values() if isinstance(each, OrganizationDefaults)}
            self.keys_in_effect = {digest: self._in_effect(key) for digest, key in self.keys.items()}
            kept = [each for each in known.values() if isinstance(each, ProviderKey)]
            self.provider_keys = {(each.organization, each.provider): each for each in kept}
            self.own_prices = tuple(each for each in known.values() if isinstance(each, OwnPrice))
            self.redactions = {each.organization: each for each in known.values() if isinstance(each, Redaction)}
            self.retentions = {each.organization: each for each in known.values() if isinstance(each, Retention)}
            self.erasures = tuple(each for each in known.values() if isinstance(each, Erasure))
            self.webhooks = {each.id: each for each in known.values() if isinstance(each, Webhook)}
            self.alerts = {each.id: each for each in known.values() if isinstance(each, Alert)}
            self.saved_queries = {each.id: each for each in known.values() if isinstance(each, SavedQuery)}
            self.hidden_properties = frozenset(each for each in known.values() if isinstance(each, HiddenProperty))
            self.alert_states = {each.id: each for each in known.values() if isinstance(each, AlertState)}

    def _in_effect(self, key: ApiKey) -> ApiKey:
        whole = self.defaults.get(key.organization)
        return key if whole is None else replace(key, defaults=whole.headers | key.defaults)


def keys_in(decisions: Iterable[Decision]) -> Keys:
    """The keys as they stand, by digest. In which order key, end and revocation were written does not matter."""
    decisions = list(decisions)
    revoked = {each.id: each.revoked_at for each in decisions if isinstance(each, Revocation)}
    ends = {each.id: each.ends_at for each in decisions if isinstance(each, KeyEnd)}
    keys = [each for each in decisions if isinstance(each, ApiKey)]
    return {each.digest: _standing(each, ends.get(each.id), revoked.get(each.id)) for each in keys}


def _standing(key: ApiKey, ends_at: datetime | None, revoked_at: datetime | None) -> ApiKey:
    ends = [each for each in (key.expires_at, ends_at) if each is not None]
    return replace(key, expires_at=min(ends, default=None), revoked_at=key.revoked_at or revoked_at)


class Saying(Struct, frozen=True):
    """A record that is to be written on the topic."""

    partition: int
    key: str
    value: bytes
    headers: tuple[tuple[str, str], ...] = ()


async def decide(log_: Log, decisions: Iterable[Decision]) -> None:
    """Writes them on the topic; they count when this returns. Raises LogUnavailable."""
    await _say(log_, {key_of(each): msgspec.json.encode(each) + b"\n" for each in decisions})


async def retract(log_: Log, decisions: Iterable[Decision]) -> None:
    """Takes them away. Raises LogUnavailable."""
    await _say(log_, dict.fromkeys(map(key_of, decisions), b""))


async def _say(log_: Log, values: Mapping[str, bytes]) -> None:
    partitions = log_.partitions(CONTROL.name)
    await say(log_, [Saying(crc32(key.encode()) % partitions, key, value) for key, value in values.items()])


async def say(log_: Log, sayings: Iterable[Saying], topic: str = CONTROL.name) -> None:
    """Writes them on a compacted topic, each a batch of its own, by a producer of their own. Raises LogUnavailable, MessageTooLarge."""
    epoch, numbers = secrets.token_hex(16), Counter[int]()
    messages = []
    for each in sayings:
        numbers[each.partition] += 1
        messages.append(
            Message(
                topic=topic,
                partition=each.partition,
                batch_id=BatchId(epoch, numbers[each.partition]),
                count=1,
                value=each.value,
                headers=each.headers,
                key=each.key,
            )
        )
    writer = await log_.writer()
    try:
        await writer.append(messages)
    finally:
        await writer.close()


def remember(file: Path, decided: Decided) -> None:
    """Keeps a copy that only its owner may read: digests are no keys, but nobody else needs them. A disk that is full keeps the old one."""
    fresh = file.with_suffix(f".{secrets.token_hex(4)}")
    with suppress(OSError):
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.encode(decided.decisions))
        fresh.replace(file)
        return
    with suppress(OSError):
        fresh.unlink()


def recall(file: Path, decided: Decided) -> bool:
    """Whether there was a copy, of which `decided` knows now. What a later version put there besides is passed over."""
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=list[msgspec.Raw])
    except (OSError, msgspec.DecodeError):
        return False
    found = [each for each in map(_understood, kept) if each is not None]
    decided.replace({key_of(each): each for each in found})
    return bool(found) or not kept


def _understood(kept: msgspec.Raw) -> Decision | None:
    try:
        found = _checked(_decoder.decode(kept))
    except (msgspec.DecodeError, UnicodeDecodeError, BadPrice) as error:
        log.warning("decision_not_understood", error=str(error))
        return None
    return found
