"""What was decided, such as keys, as a role knows it: followed on the control topic for as long as the role runs."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from pathlib import Path
from typing import Any

import structlog

from eventlog.admission import Admission
from eventlog.control import Decided
from eventlog.embedded import EmbeddedLog
from eventlog.events import Organization
from eventlog.following import Following
from eventlog.kafka import KafkaLog
from eventlog.kafka_errors import TopicsUnfit
from eventlog.keys import Keys
from eventlog.own_prices import OwnPrice
from eventlog.port import Log, LogUnavailable
from eventlog.redaction import Redaction, Unheard
from eventlog.retained import retained
from eventlog.topics import CALLS, CONTROL
from eventlog.vault import ProviderKey, Sealed, Vault
from runtime.cluster import kafka_config
from runtime.settings import Misconfigured, Settings

log = structlog.get_logger()

FOLLOWED = (CONTROL.name, CALLS.name)
"""Whatever is wrong with other topics must not keep keys and rules from being known."""
PATIENCE_S = 5.0
"""So long a start waits to hear what was decided. Then calls go on without, as the settings say."""


class Control:
    """Lives as long as `following` does."""

    def __init__(self, chosen: Settings) -> None:
        self._chosen = chosen
        self._vault = vault_of(chosen)
        self._opened_keys: dict[ProviderKey, str | None] = {}
        self._following = Following(self.opened, copy_of(chosen))
        self.admission = Admission(chosen.auth, self.keys, beyond=not chosen.loopback_only)

    def keys(self) -> Keys | None:
        """None while they are not known."""
        return self._following.decided.keys_in_effect if self._following.known.is_set() else None

    def key_for(self, organization: Organization, provider: str) -> str | None:
        """A provider's key that is kept for an organization, opened."""
        kept = self._following.decided.provider_keys.get((organization, provider))
        if kept is None or self._vault is None:
            return None
        if kept not in self._opened_keys:
            self._opened_keys[kept] = self._open(self._vault, kept)
        return self._opened_keys[kept]

    def redaction_for(self, organization: Organization) -> Redaction | Unheard | None:
        """What is redacted of an organization's calls."""
        if not self._following.known.is_set():
            return Unheard.RULES
        return self._following.decided.redactions.get(organization)

    @staticmethod
    def _open(vault: Vault, kept: ProviderKey) -> str | None:
        try:
            return vault.open(kept)
        except Sealed as error:
            log.error("provider_key_sealed", error=str(error), remedy="set HELIOGRAPH_VAULT_SECRET to that one, or the key anew")
            return None

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Raises Misconfigured where others than this machine could come in and nothing keeps them out."""
        self._chosen.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        async with beside(self._following.run(), "control"):
            try:
                await asyncio.wait_for(self._following.known.wait(), PATIENCE_S)
            except TimeoutError:
                log.warning(
                    "keys_unknown",
                    reason="the control topic is not reached, and there is no copy of it here",
                    until_then="no body is kept, since it is not known what is redacted",
                )
            self._refuse_to_stand_open()
            yield

    def _refuse_to_stand_open(self) -> None:
        chosen = self._chosen
        if chosen.auth is None and not chosen.loopback_only and self.keys() == {}:
            raise Misconfigured(
                f"HELIOGRAPH_HOST={chosen.host} listens beyond this machine, and there is no key yet. Make one first,"
                " `heliograph keys create NAME`, or say HELIOGRAPH_AUTH=open if everybody may come in."
            )

    def opened(self) -> contextlib.AbstractAsyncContextManager[Log]:
        """The log, anew. Entering raises LogUnavailable."""
        return opened_log(self._chosen)

    @property
    def known(self) -> bool:
        """Whether it was heard what was decided, or there is a copy of it."""
        return self._following.known.is_set()

    async def heard(self, holds: Callable[[Decided], bool], seconds: float) -> None:
        """Waits until this role knows of a decision, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._following.until(holds), seconds)

    @property
    def decided(self) -> Decided:
        """What this role knows to be decided."""
        return self._following.decided

    def link_key_of(self, webhook: str) -> str | None:
        """What a webhook's links are signed with; None where there is no such webhook."""
        found = self.decided.webhooks.get(webhook)
        return None if found is None else found.link_key

    @property
    def own_prices(self) -> tuple[OwnPrice, ...]:
        """Those that were set on the control topic."""
        return self._following.decided.own_prices


def copy_of(chosen: Settings) -> Path:
    """Where what was decided is kept for the time when the log is away."""
    return chosen.data_dir / "decided.json"


@contextlib.asynccontextmanager
async def opened_log(chosen: Settings, topics: Collection[str] = FOLLOWED) -> AsyncIterator[Log]:
    """The log, opened for these topics, by default for the control topic. Raises LogUnavailable."""
    opened: Log
    try:
        if chosen.on_kafka:
            opened = await KafkaLog.open(kafka_config(chosen), needs=topics)
        else:
            opened = await EmbeddedLog.open(chosen.log_dir, fsync=chosen.ingress().strict)
    except TopicsUnfit as error:
        raise LogUnavailable(str(error)) from error
    try:
        yield opened
    finally:
        await opened.close()


async def decided_on(log_: Log) -> Decided:
    """All that is decided at this moment. Raises LogUnavailable."""
    decided = Decided()
    async with contextlib.aclosing(retained(log_, CONTROL.name, group=f"deciding.{secrets.token_hex(8)}")) as parts:
        async for part in parts:
            decided.take(part.records)
    return decided


def vault_of(chosen: Settings) -> Vault | None:
    """None where no secret is set. Raises Misconfigured for one that is too short."""
    if chosen.vault_secret is None:
        return None
    try:
        return Vault(chosen.vault_secret.get_secret_value())
    except ValueError as error:
        raise Misconfigured(f"HELIOGRAPH_VAULT_SECRET: {error}.") from None


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Work that goes on beside a role and ends with it. A fault in it is told, and is not the role's."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda ended: _tell_of_fault(ended, name))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _tell_of_fault(task: asyncio.Task[None], name: str) -> None:
    if not task.cancelled() and (fault := task.exception()) is not None:
        log.error("not_followed", what=name, error=repr(fault), remains="until the next start it stays as it is")
