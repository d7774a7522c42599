"""Keys as an operator makes, sees, replaces and revokes them."""

import asyncio
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from eventlog.control import Decided, Decision, key_of, keys_in
from eventlog.embedded import EmbeddedLog
from eventlog.events import Organization
from eventlog.keys import ApiKey, Auth, NotAdmitted, Scope, admitted
from eventlog.retained import retained
from eventlog.topics import CONTROL
from runtime.keys_cli import app
from runtime.made_keys import changed, revoked, rotated
from runtime.settings import Misconfigured
from tests.fakes.keyring import MADE_AT, WRITER
from tests.fakes.keyring import key as made

Typed = Callable[..., Result]
KEY = re.compile(r"[sp]k-helicone(-[a-z0-9]{7}){4}")


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("HELIOGRAPH_DATA_DIR", str(tmp_path / "data"))
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture
def decided(tmp_path: Path) -> Callable[[], dict[str, ApiKey]]:
    """The keys that lie on the topic, by digest."""

    async def read() -> Decided:
        log, found = await EmbeddedLog.open(next((tmp_path / "data").glob("**/*.sqlite*")).parent), Decided()
        async for part in retained(log, CONTROL.name, group="test"):
            found.take(part.records)
        await log.close()
        return found

    return lambda: dict(asyncio.run(read()).keys)


def key_in(result: Result) -> str:
    assert result.exit_code == 0, result.output
    (key,) = (line for line in result.stdout.splitlines() if KEY.fullmatch(line))
    return key


def test_defaults_of_an_organization(typed: Typed, tmp_path: Path) -> None:
    """They hold beside each key's own, which win, and are not written into the keys."""
    typed("create", "one", "--organization", "acme", "--default", "Helicone-Cache-Enabled: false")
    typed("create", "other", "--organization", "globex")
    said = ("Helicone-Cache-Enabled: true", "cache-control: max-age=60", "helicone-property-team: blue")
    told = typed("defaults", "acme", *(word for each in said for word in ("--default", each)))
    assert "  default  Helicone-Property-Team: blue" in told.output
    typed("set", "one", "--limit", "5;w=60")

    async def read() -> Decided:
        log, found = await EmbeddedLog.open(next((tmp_path / "data").glob("**/*.sqlite*")).parent), Decided()
        async for part in retained(log, CONTROL.name, group="test"):
            found.take(part.records)
        await log.close()
        return found

    found = asyncio.run(read())
    assert {each.name: each.defaults for each in found.keys_in_effect.values()} == {
        "one": {"Helicone-Cache-Enabled": "false", "Cache-Control": "max-age=60", "Helicone-Property-Team": "blue"},
        "other": {},
    }
    assert {each.name: each.defaults for each in found.keys.values()} == {"one": {"Helicone-Cache-Enabled": "false"}, "other": {}}
    typed("defaults", "acme", "--clear")
    assert {each.name: each.defaults for each in asyncio.run(read()).keys_in_effect.values()}["one"] == {"Helicone-Cache-Enabled": "false"}


def test_a_default_that_could_not_be_obeyed_is_refused(typed: Typed) -> None:
    typed("create", "one")
    for default, told in (("Helicone-Retry-Num: 11", "at most 10"), ("Cache-Control: max-age=soon", "whole seconds")):
        refused = typed("set", "one", "--default", "Helicone-Retry-Enabled: true", "--default", default)
        assert refused.exit_code != 0
        assert told in f"{refused.output}{refused.exception}"


@pytest.mark.parametrize("default", ["Helicone-Retry-Num: 11", "Helicone-Request-Id: 0190a0b0-1111-4222-8333-444455556666"])
def test_a_default_that_would_spoil_every_call_is_refused_by_itself(typed: Typed, default: str) -> None:
    typed("create", "one")
    assert typed("set", "one", "--default", default).exit_code != 0
    assert typed("defaults", "acme", "--default", default).exit_code != 0


def test_a_name_that_is_taken_is_told(typed: Typed) -> None:
    assert "already" not in typed("create", "one").output
    assert "There is a key called 'one' already" in typed("create", "one").output


def whose(keys: dict[str, ApiKey], key: str, scope: Scope = Scope.WRITE, at: datetime | None = None) -> str:
    """The organization that a caller with this key is, or why it is none."""
    try:
        caller = admitted(Auth.REQUIRED, keys, key, scope, at or datetime.fromtimestamp(time.time(), UTC))
    except NotAdmitted as error:
        return error.code
    assert caller is not None
    return caller.organization


def test_a_key_is_made_before_the_first_start_and_is_good(typed: Typed, decided: Callable[[], dict[str, ApiKey]]) -> None:
    assert "There are no keys" in typed("list").stdout
    key = key_in(typed("create", "team a", "--organization", "acme"))
    assert whose(decided(), key) == whose(decided(), key, Scope.READ) == Organization("acme")
    assert whose(decided(), key, Scope.ADMIN) == "scope_missing"
    (kept,) = decided().values()
    assert (kept.name, kept.shown, kept.scopes) == ("team a", key[:16], (Scope.WRITE, Scope.READ))


def test_the_key_itself_is_kept_nowhere(typed: Typed, tmp_path: Path) -> None:
    key = key_in(typed("create", "a"))
    assert key not in typed("list").stdout
    assert not any(key.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_scopes_and_an_end(typed: Typed, decided: Callable[[], dict[str, ApiKey]]) -> None:
    key = key_in(typed("create", "ci", "--scope", "write", "--expires-days", "0"))
    assert key.startswith("pk-helicone-")
    assert whose(decided(), key) == "key_expired"
    assert "expired" in typed("list").stdout


def test_a_revoked_key_is_nobodys(typed: Typed, decided: Callable[[], dict[str, ApiKey]]) -> None:
    key = key_in(typed("create", "a"))
    (kept,) = decided().values()
    for _ in range(2):
        assert "is revoked" in typed("revoke", kept.id).stdout
    assert whose(decided(), key) == "key_revoked"
    (again,) = decided().values()
    assert again.revoked_at is not None
    assert "revoked" in typed("list").stdout


def test_rotation_gives_a_new_key_and_time_to_change(typed: Typed, decided: Callable[[], dict[str, ApiKey]]) -> None:
    old = key_in(typed("create", "a", "--organization", "acme", "--scope", "read"))
    new = key_in(typed("rotate", "a", "--overlap-minutes", "10"))
    keys = decided()
    assert whose(keys, old, Scope.READ) == whose(keys, new, Scope.READ) == "acme"
    later = datetime.fromtimestamp(time.time() + 601, UTC)
    assert (whose(keys, old, Scope.READ, later), whose(keys, new, Scope.READ, later)) == ("key_expired", "acme")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("revoke", "nobody"), "There is no key 'nobody'"),
        (("rotate", "twice"), "2 keys are called 'twice': name one by its id, key-"),
        (("rotate", "gone"), "is revoked already"),
        (("create", " "), "a name and an organization that are not empty"),
        (("create", "a", "--organization", ""), "a name and an organization that are not empty"),
        (("create", "a", "--organization", "*"), "--organization *: questions mean all of them by that"),
        (("create", "a", "--organization", "all"), "--organization all: questions mean all of them by that"),
    ],
)
def test_what_cannot_be_done_is_told(typed: Typed, words: tuple[str, ...], told: str) -> None:
    for name in ("twice", "twice", "gone"):
        key_in(typed("create", name))
    typed("revoke", "gone")
    result = typed(*words)
    assert isinstance(result.exception, Misconfigured)
    assert told in str(result.exception)


def test_limits_and_defaults(typed: Typed, decided: Callable[[], dict[str, ApiKey]]) -> None:
    key_in(typed("create", "bot", "--limit", "1000;W=3600", "--default", "helicone-user-id: the bot"))
    assert (
        typed("set", "bot", "--limit", "5;w=1;s=user", "--default", "Helicone-User-Id:bot", "--default", "Helicone-Retry-Num: 2").exit_code
        == 0
    )
    new = key_in(typed("rotate", "bot"))
    for key in decided().values():
        assert key.limits == ("1000;w=3600", "5;w=1;s=user")
        assert key.defaults == {"Helicone-User-Id": "bot", "Helicone-Retry-Num": "2"}
    assert new
    told = typed("set", next(iter(decided().values())).id, "--clear", "--limit", "1;w=1").stdout
    assert "limit    1;w=1" in told
    assert "default" not in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--limit", "10"), "an example: 10;w=60;s=user"),
        (("--default", "X-Mine: a"), "a header that is obeyed"),
        (("--default", "Helicone-User-Id"), "a header that is obeyed"),
        (("--default", "Helicone-Retry-Num: many"), "Helicone-Retry-Num must be a whole number"),
        (("--default", "Helicone-User-Id: a\x01b"), "Helicone-User-Id: its value has control characters"),
        (("--default", "Helicone-User-Id: a\nHelicone-Debug: true"), "Helicone-User-Id: its value has control characters"),
        (("--default", "Helicone-User-Id: a\udcff"), "or is no UTF-8"),
    ],
)
def test_limits_and_defaults_that_are_none(typed: Typed, words: tuple[str, ...], told: str) -> None:
    refused = typed("create", "bot", *words).exception
    assert isinstance(refused, Misconfigured)
    assert told in str(refused)


def settled(key: ApiKey) -> list[Decision]:
    return [changed(key, ("1;w=1",), {"Helicone-User-Id": "bot"}, clear=False)]


def cleared(key: ApiKey) -> list[Decision]:
    return [changed(key, (), {}, clear=True)]


def replaced(key: ApiKey) -> list[Decision]:
    return list(rotated(key, MADE_AT, timedelta(minutes=1))[1:])


COMMANDS: dict[str, Callable[[ApiKey], list[Decision]]] = {
    "revoke": lambda key: revoked(key, MADE_AT),
    "set": settled,
    "clear": cleared,
    "rotate": replaced,
}
STEPS = st.lists(st.tuples(st.sampled_from(sorted(COMMANDS)), st.integers(0, 6)), max_size=8)


@given(steps=STEPS, once=st.booleans())
def test_a_key_that_was_to_end_does_whoever_writes_at_the_same_moment(*, steps: list[tuple[str, int]], once: bool) -> None:
    """Each command read what was decided some writes ago. `once`: the key was revoked by a version that wrote so into the key itself."""
    old = made(WRITER, Scope.WRITE, revoked_at=MADE_AT if once else None)
    states: list[dict[str, Decision]] = [{key_of(old): old}]
    gone, ending = once, False
    for name, behind in steps:
        seen = keys_in(states[max(0, len(states) - 1 - behind)].values())[old.digest]
        states.append(states[-1] | {key_of(each): each for each in COMMANDS[name](seen)})
        gone, ending = gone or name == "revoke", ending or name == "rotate"
        stands = keys_in(states[-1].values())[old.digest]
        assert (stands.revoked_at is not None) is gone
        assert stands.expires_at == (MADE_AT + timedelta(minutes=1) if ending else None)
    written = states[-1].values()
    assert keys_in(reversed(list(written))) == keys_in(written)
