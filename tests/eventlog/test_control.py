"""Decisions on the control topic: the newest of each counts, whatever comes between, and everybody who follows knows within a moment."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from eventlog import following
from eventlog.codec import BatchId, Message
from eventlog.control import Decided, Decision, decide, key_of, keys_in, recall, remember, retract
from eventlog.embedded import EmbeddedLog
from eventlog.events import Organization
from eventlog.following import Following
from eventlog.kept import HiddenProperty
from eventlog.keys import ApiKey, KeyEnd, Revocation
from eventlog.port import Log, LogUnavailable
from eventlog.redaction import Redaction
from eventlog.retained import retained
from eventlog.topics import CONTROL
from tests.fakes.memory_log import MemoryLog

AT = datetime(2026, 11, 26, tzinfo=UTC)


def key(id_: str, **more: object) -> ApiKey:
    facts = {"id": id_, "name": id_, "digest": f"digest of {id_}", "shown": "sk", "created_at": AT} | more
    return ApiKey(**facts)  # type: ignore[arg-type]


async def bare(log: Log, record_key: str, value: bytes) -> None:
    writer = await log.writer()
    await writer.append([Message(topic=CONTROL.name, partition=0, batch_id=BatchId("x", 1), count=1, value=value, key=record_key)])
    await writer.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def followed(log: Log, file: Path) -> AsyncIterator[Following]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Log]:
        yield log

    it = Following(opened, file)
    running = asyncio.create_task(it.run())
    try:
        yield it
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_newest_of_each_counts(tmp_path: Path) -> None:
    log = MemoryLog(3)
    await decide(log, [key("a"), key("b")])
    await decide(log, [key("a", name="renamed")])
    async with followed(log, tmp_path / "control.json") as it:
        await it.known.wait()
        assert {each.id: each.name for each in it.decided.keys.values()} == {"a": "renamed", "b": "b"}
        await decide(log, [key("c")])
        await until(lambda: "digest of c" in it.decided.keys)
        await bare(log, key_of(key("b")), b"")
        await until(lambda: "digest of b" not in it.decided.keys)


async def test_what_is_not_understood_is_told_and_passed_over(tmp_path: Path) -> None:
    log = MemoryLog()
    await bare(log, "api-key/x", b"{not json")
    await bare(log, "web-hook/x", b'{"decision":"web-hook","url":"http://a"}\n')
    await bare(log, "own-price/x", b'{"decision":"own-price","rates":{"input":"2"}}\n')
    await bare(log, "own-price/y", b'{"decision":"own-price","rates":{"input":"abc","output":"1"}}\n')
    await decide(log, [key("a")])
    with capture_logs() as told:
        async with followed(log, tmp_path / "control.json") as it:
            await it.known.wait()
    assert list(it.decided.keys) == ["digest of a"]
    assert [each["key"] for each in told if each["event"] == "decision_not_understood"] == [
        "api-key/x",
        "web-hook/x",
        "own-price/x",
        "own-price/y",
    ]
    assert it.decided.own_prices == ()


async def test_without_its_log_a_role_knows_what_it_knew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AGAIN_S", 0.01)
    file, log, away = tmp_path / "control.json", MemoryLog(), True
    known = Decided()
    known.replace({key_of(each): each for each in (key("a"), key("gone"))})
    remember(file, known)
    await decide(log, [key("a"), key("b")])

    @asynccontextmanager
    async def opened() -> AsyncIterator[Log]:
        if away:
            raise LogUnavailable("away")
        yield log

    it = Following(opened, file)
    running = asyncio.create_task(it.run())
    await it.known.wait()
    assert set(it.decided.keys) == {"digest of a", "digest of gone"}
    away = False
    await until(lambda: set(it.decided.keys) == {"digest of a", "digest of b"})
    again = Decided()
    await until(lambda: recall(file, again) and set(again.keys) == {"digest of a", "digest of b"})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_log_that_goes_away_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AGAIN_S", 0.01)
    log = MemoryLog()
    await decide(log, [key("a")])
    async with followed(log, tmp_path / "control.json") as it:
        await it.known.wait()
        log.fail_reads_with(LogUnavailable("away"))
        await asyncio.sleep(0.05)
        log.heal()
        await decide(log, [key("b")])
        await until(lambda: "digest of b" in it.decided.keys)


async def test_another_process_knows_within_a_second(tmp_path: Path) -> None:
    one, two = await EmbeddedLog.open(tmp_path), await EmbeddedLog.open(tmp_path)
    async with followed(one, tmp_path / "control.json") as it:
        await it.known.wait()
        began = asyncio.get_running_loop().time()
        await decide(two, [key("a")])
        await until(lambda: "digest of a" in it.decided.keys)
        assert asyncio.get_running_loop().time() - began < 1
    await one.close()
    await two.close()


LATER = datetime(2026, 11, 27, tzinfo=UTC)
REVOKED = {
    "a key alone": ([key("a")], None),
    "a revocation after it": ([key("a"), Revocation(id="a", revoked_at=AT)], AT),
    "a revocation before it": ([Revocation(id="a", revoked_at=AT), key("a")], AT),
    "a revocation of another": ([key("a"), Revocation(id="b", revoked_at=AT)], None),
    "an old record that says so itself": ([key("a", revoked_at=AT)], AT),
    "an old record, and a revocation": ([key("a", revoked_at=AT), Revocation(id="a", revoked_at=LATER)], AT),
}


@pytest.mark.parametrize(("decisions", "since"), REVOKED.values(), ids=REVOKED)
def test_revocations(decisions: list[Decision], since: datetime | None) -> None:
    assert keys_in(decisions)["digest of a"].revoked_at == since


ENDS = {
    "none": ([key("a")], None),
    "its own": ([key("a", expires_at=AT)], AT),
    "a replaced key's": ([key("a"), KeyEnd(id="a", ends_at=AT)], AT),
    "written before the key": ([KeyEnd(id="a", ends_at=AT), key("a")], AT),
    "the earlier one": ([key("a", expires_at=LATER), KeyEnd(id="a", ends_at=AT)], AT),
    "never a later one": ([key("a", expires_at=AT), KeyEnd(id="a", ends_at=LATER)], AT),
    "another key's": ([key("a"), KeyEnd(id="b", ends_at=AT)], None),
}


@pytest.mark.parametrize(("decisions", "end"), ENDS.values(), ids=ENDS)
def test_ends(decisions: list[Decision], end: datetime | None) -> None:
    assert keys_in(decisions)["digest of a"].expires_at == end


def test_a_replaced_key_that_is_revoked_stays_so() -> None:
    """One record does not take the other's place."""
    both = [KeyEnd(id="a", ends_at=LATER), Revocation(id="a", revoked_at=AT)]
    assert len({key_of(each) for each in both}) == len(both)
    for order in (both, both[::-1]):
        assert keys_in([key("a"), *order])["digest of a"].ended(AT) == "revoked"


def test_a_copy_of_a_later_version_is_read_as_far_as_it_is_understood(tmp_path: Path) -> None:
    file, decided = tmp_path / "control.json", Decided()
    kept = [{"decision": "of-a-later-version", "id": "x"}, json.loads(msgspec.json.encode(key("a"))), {"decision": "api-key"}]
    file.write_text(json.dumps(kept))
    assert recall(file, decided)
    assert decided.decisions == [key("a")]


def test_a_copy_of_nothing_is_one(tmp_path: Path) -> None:
    """It is known then that there are no keys."""
    file = tmp_path / "control.json"
    remember(file, Decided())
    assert recall(file, Decided())


def test_a_revocation_alone_is_no_key(tmp_path: Path) -> None:
    decided, again = Decided(), Decided()
    known = [Revocation(id="a", revoked_at=AT)]
    decided.replace({key_of(each): each for each in known})
    assert decided.keys == {}
    remember(tmp_path / "control.json", decided)
    assert recall(tmp_path / "control.json", again)
    assert again.decisions == known


def test_a_copy_is_its_owners_alone_and_a_broken_one_is_none(tmp_path: Path) -> None:
    file, decided = tmp_path / "control.json", Decided()
    assert not recall(file, decided)
    decided.replace({key_of(key("a")): key("a")})
    remember(file, decided)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = Decided()
    assert recall(file, again)
    assert again.decisions == [key("a")]
    assert [path.name for path in tmp_path.iterdir()] == ["control.json"]
    for broken in (b"", b"{", b'[{"decision":"api-key"}]'):
        file.write_bytes(broken)
        assert not recall(file, Decided())


def test_a_copy_that_cannot_be_written_is_nobodys_error(tmp_path: Path) -> None:
    remember(tmp_path / "missing" / "control.json", Decided())


def test_what_travels_names_what_it_is() -> None:
    assert json.loads(msgspec.json.encode(key("a")))["decision"] == "api-key"


async def test_what_is_redacted_is_known_by_organization() -> None:
    log, decided = MemoryLog(), Decided()
    rules = [Redaction(organization=Organization(name), detectors=("email",), set_at=AT) for name in ("acme", "globex", "acme")]
    await decide(log, rules[:2])
    await decide(log, [msgspec.structs.replace(rules[2], detectors=("card", "of-a-later-version"))])
    async for part in retained(log, CONTROL.name, group="test"):
        decided.take(part.records)
    assert {name: rule.detectors for name, rule in decided.redactions.items()} == {
        "acme": ("card", "of-a-later-version"),
        "globex": ("email",),
    }
    await retract(log, rules[:1])
    gone = Decided()
    async for part in retained(log, CONTROL.name, group="again"):
        gone.take(part.records)
    assert set(gone.redactions) == {"globex"}


def test_organizations_with_slashes_in_their_names_share_no_hidden_property() -> None:
    one, other = (HiddenProperty(organization=Organization(name), key=key) for name, key in (("c", "a/b"), ("b/c", "a")))
    assert key_of(one) != key_of(other)
