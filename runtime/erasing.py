"""The right to be forgotten, carried out wherever something of a person may lie, and proven: what was found, removed, and is left.

The erasure is decided on the control topic first: from then on sinks leave out what still comes. Then everything is looked through and
removed, what is found by calls before the calls, so that a kill in between leaves what is needed to go on; and again, until a pass finds
nothing. That last pass is the proof.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from importlib.metadata import version

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from eventlog.control import Decided, decide, retract
from eventlog.embedded import EmbeddedLog
from eventlog.erasure import About, erasure
from eventlog.events import Organization
from eventlog.port import Log
from ingress.cache_store import Stored
from runtime.cache_cli import opened_cache
from runtime.deciding import decided_on
from runtime.erasing_log import ABOUT_CALLS, OF_CALLS, OnLog, scan
from runtime.erasing_spill import damaged, in_spills
from runtime.settings import Misconfigured, Settings
from runtime.supervisor import locked
from storage import erasing
from storage.erasing import Found, Subject
from storage.lake import Lake
from storage.leftovers import Leftovers, leftovers, purge
from storage.maintenance import UNFINISHED_HOURS
from storage.upkeep import VACUUM_SECONDS

PASSES = 6
DIGESTS_AT_ONCE = 1_000

Progress = Callable[[str, int, int | None], None]
"""Hears of a place how much is done, of how much."""


class Wish(Struct, frozen=True, kw_only=True):
    """What is to be erased."""

    about: About
    organization: Organization
    value: str = ""
    properties: tuple[str, ...] = ()
    at: datetime
    now: bool = False
    """Files that nothing refers to any more go at once, also from under a question that reads them."""


class Place(Struct, frozen=True, kw_only=True):
    """Somewhere that something lay."""

    place: str
    found: int
    left: int = 0
    """Found by the last look."""


class Remains(Struct, frozen=True, kw_only=True):
    """What is not gone yet, or is not in our hands."""

    what: str
    until: datetime | None = None
    """None: until somebody does what `why` says."""
    why: str


class Report(Struct, frozen=True, kw_only=True):
    """The proof."""

    heliograph: str
    about: str
    organization: str
    subject_digest: str
    """SHA-256 of whom it was about: the report names nobody."""
    before: datetime
    """What was made until then is meant."""
    checked_at: datetime
    erasure: str | None
    """The id of its record on the control topic; None of a dry run."""
    calls: int
    places: list[Place]
    remains: list[Remains]
    digest: str = ""
    """SHA-256 of this report as JSON, this field being empty."""

    @property
    def left(self) -> int:
        return sum(place.left for place in self.places)


class Look(Struct):
    """What one pass found."""

    found: Found
    counts: dict[str, int] = field(default_factory=dict)
    on_kafka: dict[str, int] = field(default_factory=dict)
    """Lines that no one can take out of a topic of Kafka."""

    @property
    def whole(self) -> int:
        return sum(self.counts.values())


class Removal:
    """Tells how far the removal of what was found is."""

    def __init__(self, found: Found, progress: Progress) -> None:
        self._whole, self._progress = dict(found.rows), progress
        self._done: Counter[str] = Counter()

    def __call__(self, table: str, rows: int) -> None:
        self._done[table] += rows
        self._progress(f"rows of {table}", self._done[table], self._whole[table])


class Eraser:
    """One erasure, carried out with an open log and lake."""

    def __init__(self, chosen: Settings, log: Log, lake: Lake, wish: Wish, progress: Progress, clock: Callable[[], datetime]) -> None:
        self._chosen, self._log, self._lake, self._wish, self._progress, self._clock = chosen, log, lake, wish, progress, clock
        self._until = wish.at + max(chosen.log_max_age(), chosen.kafka_retention()) + timedelta(days=chosen.spill.most_days)
        values = [wish.value] if wish.value else []
        about = erasure(wish.about, wish.organization, values, before=wish.at, until=self._until, properties=wish.properties)
        self.subject = Subject(about, wish.value)

    async def look(self) -> Look:
        """What there is, removed nowhere. Raises LogUnavailable, CacheUnavailable."""
        return await self._pass(strikes=False)

    async def carry_out(self) -> Report:
        """Raises LogUnavailable, CacheUnavailable, Misconfigured; given again, it goes on."""
        decided = await decided_on(self._log)
        await self._forget_ended(decided)
        await decide(self._log, [self.subject.erasure])
        running = is_running(self._chosen)
        first = last = await self._pass(strikes=True)
        counts, found = dict(first.counts), first.found
        for _ in range(PASSES):
            await asyncio.sleep(self._settling(running))
            last = await self._pass(strikes=True, known=last.found)
            for place, count in last.counts.items():
                counts[place] = counts.get(place, 0) + count
            found.days |= last.found.days
            if not last.whole:
                break
        files = await asyncio.to_thread(purge, self._lake, at_once=self._wish.now)
        return await self._report(first.found, counts, last, files, running)

    def _settling(self, running: bool) -> float:
        """Seconds until a sink has heard of the erasure, and has written what it had read before."""
        return 2.0 + self._chosen.sink.flush_seconds if running else 0.0

    async def _forget_ended(self, decided: Decided) -> None:
        ended = [each for each in decided.erasures if each.until < self._wish.at]
        if ended:
            await retract(self._log, ended)

    async def _pass(self, *, strikes: bool, known: Found | None = None) -> Look:
        """`known`: what was found before is looked for again, by its ids, though the calls that led to it are gone."""
        found = Found() if known is None else Found(days=dict(known.days), requests=set(known.requests), sessions=set(known.sessions))
        look = Look(found)
        calls = await scan(self._log, OF_CALLS, self.subject, found, self._progress)
        await asyncio.to_thread(erasing.find, self._lake, self.subject, found)
        rest = await scan(self._log, ABOUT_CALLS, self.subject, found, self._progress)
        self._count_log(look, rest, calls)
        for table in erasing.ORDER:
            look.counts[f"lake: {table}"] = found.rows[table]
        if strikes:
            await self._strike(rest)
        look.counts["cache"] = await self._in_cache(found, dry=not strikes)
        if strikes and found.any:
            await asyncio.to_thread(erasing.erase, self._lake, self.subject, found, Removal(found, self._progress))
        look.counts["spills"] = await in_spills(self._chosen.spill_dir, self.subject, found, strike=strikes)
        if strikes:
            await self._strike(calls)
        return look

    def _count_log(self, look: Look, *scans: OnLog) -> None:
        for scanned in scans:
            for topic, lines in scanned.lines.items():
                if isinstance(self._log, EmbeddedLog):
                    look.counts[f"log: {topic}"] = lines
                else:
                    look.on_kafka[topic] = lines

    async def _strike(self, on_log: OnLog) -> None:
        if isinstance(self._log, EmbeddedLog):
            whole = sum(map(len, on_log.struck.values()))
            await self._log.strike(on_log.struck, lambda done: self._progress("messages of the log", done, whole))
            return
        ids = sorted(on_log.feedback)
        for at in range(0, len(ids), DIGESTS_AT_ONCE):
            some, own = ids[at : at + DIGESTS_AT_ONCE], self.subject.erasure
            judgements = erasure(About.FEEDBACK, own.organization, some, before=own.before, until=own.until)
            await decide(self._log, [replace(judgements, id=f"{own.id}-{at // DIGESTS_AT_ONCE}")])

    async def _in_cache(self, found: Found, *, dry: bool) -> int:
        if self._chosen.shared_state() is None and not self._chosen.cache_dir.is_dir():
            return 0
        everyone = self._wish.about is About.ORGANIZATION

        def erased(stored: Stored) -> bool:
            whose = everyone and stored.organization in {None, self._wish.organization}
            return whose or stored.call_id in found.days

        async with opened_cache(self._chosen) as cache:
            return await cache.forget(erased, dry=dry)

    async def _report(self, found: Found, counts: Mapping[str, int], last: Look, files: Leftovers, running: bool) -> Report:
        places = [Place(place=place, found=count, left=last.counts.get(place, 0)) for place, count in counts.items()]
        remains = await asyncio.to_thread(self._remains, found, counts, last, files, running)
        return signed(self._told(self.subject.erasure.id, self._calls(found, counts), places, remains))

    async def dry(self, look: Look) -> Report:
        """What would be erased."""
        files = await asyncio.to_thread(leftovers, self._lake)
        places = [Place(place=place, found=count, left=count) for place, count in look.counts.items()]
        remains = await asyncio.to_thread(self._remains, look.found, look.counts, look, files, is_running(self._chosen))
        return signed(self._told(None, self._calls(look.found, look.counts), places, remains))

    def _calls(self, found: Found, counts: Mapping[str, int]) -> int:
        """Of an organization those at rest; they may be too many to know each."""
        return counts["lake: calls"] if self._wish.about is About.ORGANIZATION else len(found.days)

    def _told(self, id_: str | None, calls: int, places: list[Place], remains: list[Remains]) -> Report:
        wish = self._wish
        return Report(
            heliograph=version("heliograph"),
            about=wish.about.value,
            organization=wish.organization,
            subject_digest=hashlib.sha256((wish.value or wish.organization).encode("utf-8", "surrogatepass")).hexdigest(),
            before=wish.at,
            checked_at=self._clock(),
            erasure=id_,
            calls=calls,
            places=places,
            remains=remains,
        )

    def _remains(self, found: Found, counts: Mapping[str, int], last: Look, files: Leftovers, running: bool) -> list[Remains]:
        """What is not gone, and when it is. Asks the lake."""
        chosen, now, config = self._chosen, self._clock(), self._lake.config
        tidied = timedelta(seconds=VACUUM_SECONDS)
        remains = []
        if files.files:
            why = "old files of the lake, kept for those who read them; the upkeep removes them, or this command with --now"
            remains.append(Remains(what=f"{files.files} files", until=now + config.tombstone_grace + tidied, why=why))
        if files.unfinished:
            why = "files of the lake that somebody was killed over before they were its own; the upkeep removes them a day after"
            until = now + timedelta(hours=UNFINISHED_HOURS) + tidied
            remains.append(Remains(what=f"{files.unfinished} unfinished files", until=until, why=why))
        if files.entries and any(count for place, count in counts.items() if place.startswith("lake:")):
            why = "entries of Delta's log, whose statistics may hold ids; the upkeep removes them"
            remains.append(Remains(what=f"{files.entries} entries", until=now + config.log_retention + tidied, why=why))
        for topic, lines in last.on_kafka.items():
            if lines:
                why = "Kafka gives up no single record: whoever reads the topic finds them until its retention; our sinks pass them over"
                until = self._wish.at + chosen.kafka_retention()
                remains.append(Remains(what=f"{lines} events on {topic}", until=until, why=why))
        if chosen.on_kafka or running:
            why = "the feedback join remembers calls: a judgement given until then goes to llm.scored-calls.v1 with its call"
            until = now + timedelta(hours=chosen.join.patience_hours)
            remains.append(Remains(what="memory of running processors", until=until, why=why))
        if counts.get("cache"):
            why = "free pages of the cache's file are written anew when they are needed, and are gone when the machine has started again"
            remains.append(Remains(what="bytes of answers", why=why))
        if lost := damaged(chosen.spill_dir):
            why = "cannot be read: look at them, and remove them"
            remains.append(Remains(what=f"{len(lost)} damaged spills in {chosen.spill_dir}", why=why))
        for name, calls in erasing.mentions(self._lake, self.subject, found).items():
            why = f"calls that stay have this user's id there; --property {name.partition('.')[2]} takes a property for the user's id"
            remains.append(Remains(what=f"{calls} calls, {name}", why=why))
        if named := erasing.references(self._lake, self.subject, found):
            why = "others were given an answer that an erased call had brought; they are their own, and name its id in cache_reference_id"
            remains.append(Remains(what=f"{named} calls of others", why=why))
        why = "backups, exports, replicas and spills of other machines, and what webhooks were told, are not within reach of this command"
        return [*remains, Remains(what="copies elsewhere", why=why)]


def is_running(chosen: Settings) -> bool:
    """Whether something may write meanwhile: of Kafka nobody knows."""
    if chosen.on_kafka:
        return True
    try:
        with locked(chosen.data_dir):
            return False
    except Misconfigured:
        return True


def signed(report: Report) -> Report:
    """With its digest."""
    return replace(report, digest=hashlib.sha256(msgspec.json.encode(report)).hexdigest())
