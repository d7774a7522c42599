"""The right to be forgotten: of whom, wherever it lies, and that everybody else stays; killed halfway, and while all runs."""

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from eventlog.embedded import EmbeddedLog
from eventlog.erasure import About, erasure
from eventlog.replay import Replays
from eventlog.spill_folder import Aside, put_aside
from ingress.cache_store import SharedCache
from runtime.cli import app
from runtime.deciding import decided_on
from runtime.erase_cli import wished
from runtime.erasing import Eraser, Report, Wish
from runtime.replaying import Selection, replay_calls
from runtime.settings import Misconfigured, Settings
from storage.erased_late import sweep
from storage.lake import Lake
from storage.schema import TABLES
from tests.fakes.damage import rotten
from tests.fakes.memory_log import MemoryLog
from tests.fakes.people import (
    ACME,
    PEOPLE,
    SHARED,
    Speaker,
    at_rest,
    call_of,
    go_on,
    moment,
    people,
    rows_of,
    said,
    secret,
    settled,
    told_of,
    understood,
)
from tests.fakes.small_lake import SmallLake
from tests.fakes.stack import stack as running

ANN, BOB = "ann@x.com", "bob@x.com"
Typed = Callable[..., Result]


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HELIOGRAPH_DATA_DIR", str(tmp_path))
    return Settings(data_dir=tmp_path)


def erased(*words: str) -> Report:
    result = CliRunner().invoke(app, ["erase", "--json", "--yes", *words])
    assert result.exit_code == 0, (result.output, result.exception)
    return msgspec.json.decode(result.stdout, type=Report)


def lake_of(chosen: Settings) -> Lake:
    return Lake.existing(chosen.storage())


def users_in(lake: Lake) -> dict[str, set[str]]:
    """Whose rows each table has."""
    return {table: {user for row in rows_of(lake, table) for user in PEOPLE if user in str(row)} for table in TABLES}


def raw(folder: Path, text: str) -> list[str]:
    """Files in which it stands, byte for byte: an embedded log compresses nothing."""
    return [file.name for file in folder.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


def test_a_user_is_gone_everywhere_and_everybody_else_stays(chosen: Settings) -> None:
    asyncio.run(settled(chosen))
    lake = lake_of(chosen)
    before = users_in(lake)
    assert all(before[table] == set(PEOPLE) for table in ("calls", "bodies", "feedback", "dead_letters"))
    assert "log.sqlite" in raw(chosen.log_dir, secret(ANN))

    report = erased("--user", ANN, "--organization", ACME, "--now")
    assert (report.left, report.calls) == (0, 3)
    found = {place.place: place.found for place in report.places if place.found}
    assert found == {
        "lake: calls": 2,
        "lake: bodies": 4,
        "lake: feedback": 3,
        "lake: dead_letters": 1,
        "log: llm.requests.v1": 3,
        "log: llm.responses.v1": 3,
        "log: llm.calls.v1": 2,
        "log: llm.feedback.v1": 4,
        "log: llm.scored-calls.v1": 2,
        "log: llm.dead-letters.v1": 1,
        "cache": 1,
    }
    assert ANN not in msgspec.json.encode(report).decode()
    assert hashlib.sha256(msgspec.json.encode(replace(report, digest=""))).hexdigest() == report.digest
    assert raw(chosen.log_dir, ANN) == []
    assert [file for file in told_of(lake, ANN) if file.endswith(".parquet")] == []
    after = users_in(lake)
    assert {table: users | {ANN} for table, users in after.items() if before[table]} == {t: u for t, u in before.items() if u}
    assert not any(ANN in users for users in after.values())

    asyncio.run(go_on(chosen))  # what was on the log alone comes to rest, but hers
    calls = sorted(row["call_id"] for row in rows_of(lake, "calls"))
    assert calls == sorted(f"{user}-{number}" for user in PEOPLE for number in range(3) if user != ANN)
    assert len(rows_of(lake, "bodies")) == 2 * len(calls)


def test_what_delta_says_of_files_goes_with_its_log(chosen: Settings) -> None:
    asyncio.run(settled(chosen))
    lake = lake_of(chosen)
    report = erased("--user", BOB, "--organization", ACME, "--now")
    assert any(each.what.endswith("entries") and each.until is not None for each in report.remains)
    assert [file for file in told_of(lake, BOB) if file.endswith(".json")]
    for entry in Path(lake.directory()).rglob("_delta_log/*"):
        os.utime(entry, (time.time() - 7300,) * 2)
    erased("--user", BOB, "--organization", ACME, "--now")
    assert list(told_of(lake, BOB)) == []


def test_files_wait_for_their_readers(chosen: Settings) -> None:
    asyncio.run(settled(chosen))
    lake = lake_of(chosen)
    files = [path for table in TABLES for path in lake.files(table)]
    report = erased("--user", ANN, "--organization", ACME)
    assert all(Path(path).exists() for path in files)
    assert any(each.what.endswith("files") and each.until is not None for each in report.remains)


def test_a_request(chosen: Settings) -> None:
    asyncio.run(settled(chosen))
    lake = lake_of(chosen)
    assert erased("--request", f"request-{ANN}-1", "--organization", ACME).calls == 1
    assert f"{ANN}-1" not in {row["call_id"] for row in rows_of(lake, "calls")}
    assert {row["feedback_id"] for row in rows_of(lake, "feedback") if ANN in str(row)} == {f"f-{ANN}-0", f"tag-{ANN}"}


def test_a_session_that_is_shared(chosen: Settings) -> None:
    asyncio.run(settled(chosen))
    lake = lake_of(chosen)
    assert erased("--session", SHARED, "--organization", ACME).calls == 2
    assert {row["session_id"] for row in rows_of(lake, "calls")} == {f"session-{user}" for user in PEOPLE}


def test_an_organization(chosen: Settings) -> None:
    asyncio.run(settled(chosen))
    lake = lake_of(chosen)
    report = erased("--organization", "acme", "--now")
    assert report.calls == 4
    assert set.union(*users_in(lake).values()) == {"ann@other.com"}
    assert raw(chosen.log_dir, "@x.com") == []
    cache = SharedCache(chosen.cache_dir, limit_bytes=chosen.cache.bytes)
    assert asyncio.run(cache.forget(lambda each: each.organization == ACME, dry=True)) == 0
    assert asyncio.run(cache.stats()).entries == 1
    cache.close()


def test_a_dry_run_changes_nothing_and_nobody_is_erased_unasked(chosen: Settings) -> None:
    asyncio.run(settled(chosen))
    lake = lake_of(chosen)
    versions = [lake.table(table).version() for table in TABLES]
    told = CliRunner().invoke(app, ["erase", "--user", ANN, "--organization", ACME, "--dry-run"])
    assert "nothing was removed" in told.stdout
    assert "lake: bodies" in told.stdout
    unasked = CliRunner().invoke(app, ["erase", "--user", ANN, "--organization", ACME])
    assert isinstance(unasked.exception, Misconfigured)
    assert [lake.table(table).version() for table in TABLES] == versions
    assert raw(chosen.log_dir, ANN)


KILLED = """
import os, signal, sys
from storage import erasing
left = int(sys.argv[1])
real = erasing.remove
def remove(*given):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given)
erasing.remove = remove
from runtime.cli import main
main(["erase", "--user", "ann@x.com", "--organization", "acme", "--yes", "--json"])
"""


@pytest.mark.parametrize("commits", [1, 3])
def test_killed_halfway_and_given_again(chosen: Settings, commits: int) -> None:
    asyncio.run(settled(chosen))
    lake = lake_of(chosen)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(commits)], env=os.environ.copy(), capture_output=True, check=False)
    assert ended.returncode == -9, ended.stderr
    assert any(ANN in users for users in users_in(lake).values())
    assert erased("--user", ANN, "--organization", ACME).left == 0
    assert not any(ANN in users for users in users_in(lake).values())
    assert raw(chosen.log_dir, ANN) == []
    asyncio.run(go_on(chosen))
    assert sorted(row["call_id"] for row in rows_of(lake, "calls")) == sorted(
        f"{user}-{number}" for user in PEOPLE for number in range(3) if user != ANN
    )


async def test_what_waits_in_a_spill(tmp_path: Path) -> None:
    """Or was put aside: on this machine it is struck, and the rest stays as it is."""
    chosen, log = Settings(data_dir=tmp_path / "data"), MemoryLog()
    lake = Lake.open(chosen.storage())
    messages = Speaker("b" * 32).say([call_of(ANN, 5), call_of(BOB, 5)])
    spill = await EmbeddedLog.open(chosen.spill_dir / "too-old-run")
    await said(spill, messages)
    await spill.close()
    aside = put_aside(chosen.spill_dir, messages[1], "too large", 1 << 20)
    eraser = Eraser(chosen, log, lake, Wish(about=About.USER, organization=ACME, value=ANN, at=moment()), lambda *_: None, moment)
    assert (await eraser.look()).counts["spills"] == 4
    report = await eraser.carry_out()
    assert {place.place: place.found for place in report.places}["spills"] == 4
    assert raw(chosen.spill_dir, ANN) == []
    assert raw(chosen.spill_dir, secret(BOB))
    assert secret(BOB) in str(msgspec.json.decode(aside.read_bytes(), type=Aside).value)


def test_what_came_in_spite_of_it_is_swept(tmp_path: Path) -> None:
    """A sink had read it before it heard; an older file of somebody else is not even looked at."""
    made = SmallLake(tmp_path)
    about = erasure(About.USER, ACME, [ANN], before=moment(), until=moment() + timedelta(days=1))
    for user in (ANN, BOB):
        row = {"call_id": f"{user}-late", "organization": "acme", "created_at": "2026-03-01T00:00:00Z"}
        for table in ("calls", "amendments"):
            made.add(table, row | {"user_id": user})
        fact = call_of(user, 0, call_id=f"{user}-open")
        request = row | {"call_id": fact.call_id, "side": "request", "facts": msgspec.json.encode(fact).decode()}
        made.add("bodies", request, row | {"side": "response", "text": secret(user)})
        made.add(
            "feedback", {"feedback_id": user, "request_id": f"{user}-late", "organization": "acme", "given_at": "2026-03-01T00:00:00Z"}
        )
    assert sweep(made.lake, about) == 5
    assert users_in(made.lake) == {
        "calls": {BOB},
        "amendments": {BOB},
        "bodies": {BOB},
        "feedback": {BOB},
        "superseded": set(),
        "dead_letters": set(),
        "rollups": set(),
    }
    assert sweep(made.lake, about) == 0


async def test_a_log_that_gives_nothing_up(tmp_path: Path) -> None:
    """As Kafka: what stays there is told, and comes to no lake any more, not even to one that reads it from the beginning."""
    log, chosen = MemoryLog(), Settings(data_dir=tmp_path / "data")
    lake = Lake.open(chosen.storage())
    speaker = await people(log, lake)
    eraser = Eraser(chosen, log, lake, Wish(about=About.USER, organization=ACME, value=ANN, at=moment()), lambda *_: None, moment)
    report = await eraser.carry_out()
    assert report.left == 0
    kept = {each.what: each.until for each in report.remains if "events on" in each.what}
    assert kept["3 events on llm.requests.v1"] == report.before + timedelta(hours=168)
    assert kept["4 events on llm.feedback.v1"] is not None

    await said(log, speaker.say([call_of(ANN, 9, created_at=moment() + timedelta(minutes=1))]))  # what she does later is new
    await understood(log)
    erasures = (await decided_on(log)).erasures
    sent = await replay_calls(log, Selection(), Replays("r" * 32, 1), "r", lambda *_: None, erasures)
    assert sent.calls == 7
    for there in (lake, Lake.open(Settings(data_dir=tmp_path / "anew").storage())):
        await at_rest(log, there, erasures=lambda: erasures)
        hers = {row["call_id"] for row in rows_of(there, "calls") if ANN in str(row)}
        assert hers == {f"{ANN}-9"}
        assert {row["call_id"] for row in rows_of(there, "bodies") if ANN in str(row)} == hers
        assert {row["feedback_id"] for row in rows_of(there, "feedback") if ANN in str(row)} <= {f"f-{ANN}-9", f"tag-{ANN}"}
        assert len(rows_of(there, "calls")) == 7


def test_beside_a_running_heliograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as stack:
        monkeypatch.setenv("HELIOGRAPH_DATA_DIR", str(stack.data_dir))

        def call(user: str) -> None:
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"I am {user}"}]}
            headers = {"authorization": "Bearer sk-test", "helicone-user-id": user, "helicone-cache-enabled": "true"}
            httpx.post(f"{stack.proxy}/v1/chat/completions", json=body, headers=headers).raise_for_status()

        for user in ("ann", "bob", "ann", "bob"):
            call(user)
        stack.rows("user_id = 'bob'", count=2)
        stack.rows("user_id = 'ann'", count=2)
        report = erased("--user", "ann")
        assert (report.left, report.calls) == (0, 2)
        assert {row["user_id"] for row in stack.query("SELECT user_id FROM calls")} == {"bob"}
        assert stack.query("SELECT count(*) AS n FROM bodies WHERE text LIKE '%I am ann%'") == [{"n": 0}]
        call("ann")
        assert stack.rows("user_id = 'ann'")[0]["cache_hit"] is False
        assert len(stack.rows("user_id = 'bob'", count=2)) == 2


REFUSED: dict[str, tuple[dict[str, str | None], str]] = {
    "nothing": ({}, "--user, --request, --session"),
    "two at once": ({"user": "a", "session": "b"}, "one of"),
    "all organizations": ({"organization": "all"}, "name one"),
    "nobody": ({"user": ""}, "--user needs"),
    "no organization": ({"user": "a", "organization": " "}, "--organization"),
}


@pytest.mark.parametrize(("said", "told"), REFUSED.values(), ids=REFUSED)
def test_refused(said: dict[str, str | None], told: str) -> None:
    words = dict.fromkeys(("user", "request", "session", "organization")) | said
    with pytest.raises(Misconfigured, match=told):
        wished(words["user"], words["request"], words["session"], words["organization"], [], at_once=False)


def test_a_damaged_file_is_named_and_nothing_is_proven(chosen: Settings) -> None:
    asyncio.run(settled(chosen))
    file = Path(lake_of(chosen).files("calls")[0])
    for damage in (rotten, Path.unlink):
        damage(file)
        with pytest.raises(Misconfigured, match=f"{file.name} is (damaged|missing).*nothing is proven"):
            CliRunner().invoke(app, ["erase", "--user", ANN, "--organization", ACME, "--yes"], catch_exceptions=False)


def test_whoever_was_not_found_is_said_not_to_be(chosen: Settings) -> None:
    asyncio.run(settled(chosen))
    told = CliRunner().invoke(app, ["erase", "--user", "nobody", "--organization", ACME, "--yes"])
    assert "No such user was found" in told.stdout.replace("\n", " ")
