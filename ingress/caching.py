"""The cache on a call's way: looked up before anything is counted or sent, and filled with what passes by."""

import structlog

from ingress.cache import CacheWish, Saving, kept_headers
from ingress.cache_store import CacheStore, CacheUnavailable, Stored
from ingress.connection import Answer
from ingress.recording import Recording
from ingress.soundness import is_sound
from ingress.telemetry import Telemetry

log = structlog.get_logger()

OK = 200


class CachedAnswer(Answer):
    """An answer that was given before: the same bytes, in the same pieces."""

    __slots__ = ("_left",)

    def __init__(self, stored: Stored) -> None:
        self.status, self.reason, self.headers = OK, b"", stored.headers
        self.content_length = sum(map(len, stored.pieces)) if stored.sized else None
        self.complete = self.framed = True
        self._left = iter(stored.pieces)

    def take(self) -> bytes | None:
        return next(self._left, b"")

    async def read(self) -> bytes:
        return next(self._left, b"")

    def close(self) -> None: ...


class Cache:
    """Asks the store for the calls of one process. Where it cannot, calls go on without: nothing of ours holds one up."""

    def __init__(self, store: CacheStore | None, entry_bytes: int, telemetry: Telemetry) -> None:
        self._store, self._entry_bytes, self._telemetry = store, entry_bytes, telemetry
        self._working = True

    async def answer(self, recording: Recording, wish: CacheWish, key: bytes, ttl_s: int) -> CachedAnswer | None:
        """The answer that was kept, if there is one; else what passes is to be kept, where that is wished."""
        if self._store is None:
            return None
        if wish.read:
            hit = None
            try:
                hit = await self._store.find(key, wish.slots)
                self._working = True
            except CacheUnavailable as error:
                self._failed(error)
            self._telemetry.cache_asked(hit=hit is not None)
            if hit is not None:
                recording.cache_reference_id = hit.stored.call_id
                recording.fallback_index = hit.stored.fallback_index
                recording.tells(
                    (b"Helicone-Cache", b"HIT"),
                    (b"Helicone-Cache-Bucket-Idx", b"%d" % hit.slot),
                    (b"Helicone-Cache-Latency", b"%d" % round(hit.stored.latency_ms)),
                )
                return CachedAnswer(hit.stored)
        if wish.read or wish.replaces:
            recording.tells((b"Helicone-Cache", b"MISS"))
        if wish.save and ttl_s > 0:
            recording.saving = Saving(key, wish, ttl_s, self._entry_bytes)
        return None

    async def keep(self, recording: Recording, answer: Answer, latency_ms: float) -> None:
        """An answer that is complete, and no error in the guise of one. Doing it again does nothing."""
        saving = recording.saving
        if saving is None or saving.over or recording.status != OK or self._store is None or not answer.complete:
            return
        if recording.answer is None or not is_sound(recording.answer_type, recording.answer, framed=answer.framed):
            return
        saving.over = True
        stored = Stored(
            call_id=recording.call_id,
            headers=kept_headers(answer.headers),
            pieces=saving.pieces,
            sized=recording.announced is not None,
            latency_ms=latency_ms,
            fallback_index=recording.fallback_index,
            organization=recording.organization,
        )
        try:
            await self._store.put(saving.key, saving.wish.slots, stored, saving.ttl_s, replaces=saving.wish.replaces)
        except CacheUnavailable as error:
            self._failed(error)

    def _failed(self, error: CacheUnavailable) -> None:
        self._telemetry.cache_failed()
        if self._working:
            log.error("cache_unavailable", error=str(error), remains="calls go to their providers")
        self._working = False
