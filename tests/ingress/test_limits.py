"""Limits through the whole ingress: who is let through, what is told, what the row says."""

import asyncio
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.admission import Admission
from eventlog.events import Organization, Outcome
from eventlog.keys import Auth, Scope
from ingress.ledger import Judged, LedgerUnavailable, SharedLedger
from ingress.limits import window_of
from ingress.policies import Policy, Unit
from ingress.windows import SECOND
from tests.fakes.ingress import World, headers_of, running, status_of
from tests.fakes.keyring import key, keyring
from tests.fakes.provider import streamed

PER_USER = b"Helicone-RateLimit-Policy: 10;w=60;s=user\r\n"
ANNA, BERT = b"Helicone-User-Id: anna\r\n", b"Helicone-User-Id: bert\r\n"


def told(answer: bytes) -> dict[str, str]:
    return {name.removeprefix("helicone-ratelimit-"): value for name, value in headers_of(answer).items()}


async def test_the_burst_of_the_contract(ledger: SharedLedger) -> None:
    async with running(ledger=ledger) as world:
        answers = [await world.post(headers=PER_USER + ANNA) for _ in range(12)]
        assert [status_of(answer) for answer in answers] == [200] * 10 + [429] * 2
        found = [told(answer) for answer in answers]
        assert [each["remaining"] for each in found] == ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0", "0", "0"]
        assert {(each["limit"], each["policy"], each["reset"]) for each in found} == {("10", "10;w=60;s=user", "60")}
        last = found[-1]
        assert (last["x-helicone-error"], last["helicone-status"], last["content-type"]) == ("rate_limited", "success", "application/json")
        assert 50 < int(last["retry-after"]) <= 60
        assert json.loads(answers[-1].partition(b"\r\n\r\n")[2]).keys() == {"message"}
        assert status_of(await world.post(headers=PER_USER + BERT)) == 200
        rows = await world.responses(13)
        assert Counter((row.outcome, row.status, row.attempts) for row in rows) == {
            (Outcome.COMPLETED, 200, 1): 11,
            (Outcome.RATE_LIMITED, 429, 0): 2,
        }
        assert len(world.provider.requests) == 11
        assert len(await world.requests(13)) == 13


SEGMENTS = {
    "everyone": (b"1;w=60", [b"", ANNA, BERT], [200, 429, 429]),
    "each user": (b"1;w=60;s=user", [ANNA, BERT, ANNA], [200, 200, 429]),
    "each user, in any case": (b"1;W=60;S=User", [ANNA, BERT, ANNA], [200, 200, 429]),
    "each value of a property": (
        b"1;w=60;s=tenant",
        [b"Helicone-Property-Tenant: a\r\n", b"Helicone-Property-TENANT: b\r\n", b"Helicone-Property-Tenant: a\r\n"],
        [200, 200, 429],
    ),
    "nobody is named": (b"1;w=60;s=user", [b"", b"", b""], [200, 200, 200]),
    "no such property": (b"1;w=60;s=tenant", [ANNA, ANNA], [200, 200]),
}


@pytest.mark.parametrize(("policy", "calls", "statuses"), SEGMENTS.values(), ids=SEGMENTS)
async def test_for_whom_it_counts(policy: bytes, calls: list[bytes], statuses: list[int], ledger: SharedLedger) -> None:
    async with running(ledger=ledger) as world:
        said = b"Helicone-RateLimit-Policy: " + policy + b"\r\n"
        assert [status_of(await world.post(headers=said + headers)) for headers in calls] == statuses


async def test_a_call_that_does_not_say_for_whom(ledger: SharedLedger) -> None:
    async with running(ledger=ledger) as world:
        found = told(await world.post(headers=PER_USER))
        assert found["policy"] == "10;w=60;s=user"
        assert "limit" not in found
        assert "names no user" in found["helicone-warning"]


async def test_the_body_names_the_user(ledger: SharedLedger) -> None:
    async with running(ledger=ledger) as world:
        said = b"Helicone-RateLimit-Policy: 1;w=60;s=user\r\n"
        bodies = [json.dumps({"user": user, "messages": "x" * size}).encode() for user, size in (("a", 0), ("b", 100_000), ("a", 100_000))]
        assert [status_of(await world.post(body=body, headers=said)) for body in bodies] == [200, 200, 429]


async def test_a_stream_is_limited_too_and_says_so(ledger: SharedLedger) -> None:
    async with running(streamed(), ledger=ledger) as world:
        said = b"Helicone-RateLimit-Policy: 1;w=60\r\n"
        first, second = [await world.post(headers=said) for _ in range(2)]
        assert (status_of(first), told(first)["remaining"], b"[DONE]" in first, status_of(second)) == (200, "0", True, 429)


async def test_twenty_at_once(ledger: SharedLedger) -> None:
    async with running(ledger=ledger) as one, running(ledger=ledger) as two:
        said = b"Helicone-RateLimit-Policy: 7;w=60;s=user\r\n" + ANNA
        answers = await asyncio.gather(*[world.post(headers=said) for world in (one, two) for _ in range(10)])
        assert Counter(map(status_of, answers)) == {200: 7, 429: 13}


async def test_a_limit_of_costs_names_the_windows_that_they_count_for(ledger: SharedLedger) -> None:
    async with running(ledger=ledger) as world:
        found = told(await world.post(headers=b"Helicone-RateLimit-Policy: 500;w=60;u=cents;s=user\r\n" + ANNA))
        assert (found["remaining"], found["policy"]) == ("500", "500;w=60;u=cents;s=user")
        await world.post(headers=PER_USER + ANNA)
        costly, plain = await world.responses(2)
        (spend,) = costly.call.spends
        assert (spend.ledger, spend.policy, len(spend.window), plain.call.spends) == (ledger.id, found["policy"], 32, ())
        assert [request.call.spends for request in await world.requests(2)] == [(spend,), ()]
        assert await ledger.limits_costs()


class Away:
    async def judge(self, windows: object) -> Judged:
        raise LedgerUnavailable("away")

    async def limit_costs(self) -> None: ...


async def test_a_ledger_that_cannot_count_holds_nothing_up() -> None:
    async with running(ledger=Away()) as world:
        assert {status_of(await world.post(headers=PER_USER + ANNA)) for _ in range(12)} == {200}
        metrics = await world.talk(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"heliograph_limits_not_counted_total" in metrics


def acme(**more: object) -> Admission:
    one, two = key("sk-helicone-a", Scope.WRITE, **more), key("sk-helicone-b", Scope.WRITE)
    return Admission(known=lambda: keyring(one, two, key("sk-helicone-c", Scope.WRITE, organization="globex")))


def by(which: str) -> bytes:
    return f"Helicone-Auth: Bearer sk-helicone-{which}\r\n".encode()


async def statuses(world: World, *headers: bytes) -> list[int]:
    return [status_of(await world.post(headers=each)) for each in headers]


async def test_organizations_have_counts_of_their_own(ledger: SharedLedger) -> None:
    async with running(ledger=ledger, admission=acme()) as world:
        said = b"Helicone-RateLimit-Policy: 1;w=60;s=user\r\n" + ANNA
        assert await statuses(world, by("a") + said, by("b") + said, by("c") + said, by("c") + said) == [200, 429, 200, 429]


async def test_limits_of_a_key_hold_on_top(ledger: SharedLedger) -> None:
    async with running(ledger=ledger, admission=acme(limits=("2;w=60", "1;w=60;s=user"))) as world:
        assert await statuses(world, by("a") + ANNA, by("a") + ANNA, by("a") + BERT, by("a"), by("b") + ANNA) == [200, 429, 200, 429, 200]
        answer = await world.post(headers=by("a"))
        assert told(answer)["policy"] == "2;w=60"


TENANT = b"Helicone-Property-Tenant: a\r\n"
ESCAPES = {
    "naming no user": ("1;w=60;s=user", [ANNA, b"", b"", BERT], [200, 200, 429, 200]),
    "naming an empty one": ("1;w=60;s=user", [b"", b"Helicone-User-Id: \r\n"], [200, 429]),
    "naming no property": ("1;w=60;s=tenant", [TENANT, b"", b"", TENANT], [200, 200, 429, 429]),
}


@pytest.mark.parametrize(("limit", "calls", "expected"), ESCAPES.values(), ids=ESCAPES)
async def test_a_limit_of_a_key_is_not_escaped_by(limit: str, calls: list[bytes], expected: list[int], ledger: SharedLedger) -> None:
    async with running(ledger=ledger, admission=acme(limits=(limit,))) as world:
        assert await statuses(world, *(by("a") + each for each in calls)) == expected


async def test_a_header_that_counts_for_nobody_says_so_beside_a_limit_of_the_key(ledger: SharedLedger) -> None:
    async with running(ledger=ledger, admission=acme(limits=("5;w=60",))) as world:
        found = told(await world.post(headers=by("a") + PER_USER))
        assert (found["policy"], found["remaining"]) == ("5;w=60", "4")
        assert "names no user" in found["helicone-warning"]


async def test_a_refusal_says_whose_limit_it_is(ledger: SharedLedger) -> None:
    async with running(ledger=ledger, admission=acme(limits=("1;w=60",))) as world:
        first, by_key = [await world.post(headers=by("a")) for _ in range(2)]
        by_header = [await world.post(headers=by("b") + b"Helicone-RateLimit-Policy: 1;w=61\r\n") for _ in range(2)][1]
        messages = [json.loads(answer.partition(b"\r\n\r\n")[2])["message"] for answer in (by_key, by_header)]
        assert status_of(first) == 200
        assert "a limit of your Heliograph key, 1;w=60" in messages[0]
        assert "Helicone-RateLimit-Policy" not in messages[0]
        assert "sk-" not in messages[0]
        errors = {row.error for row in await world.responses(4)}
        assert "rate_limited: 1;w=60 is reached, a limit of the key" in errors


async def test_strangers_use_up_nobody_s_quota(ledger: SharedLedger) -> None:
    """Under `permissive` they pass, and are told."""
    keys = keyring(key("sk-helicone-a", Scope.WRITE, organization="default"))
    async with running(ledger=ledger, admission=Admission(Auth.PERMISSIVE, lambda: keys)) as world:
        said = b"Helicone-RateLimit-Policy: 1;w=60;s=user\r\n" + ANNA
        answer = await world.post(headers=said)
        assert "no good Heliograph key" in headers_of(answer)["helicone-warning"]
        assert await statuses(world, said, by("a") + said, by("a") + said) == [200, 200, 429]


async def test_keys_that_take_each_other_s_place_count_together(ledger: SharedLedger) -> None:
    old = key("sk-helicone-a", Scope.WRITE, limits=("2;w=60",))
    new = key("sk-helicone-b", Scope.WRITE, limits=("2;w=60",), counted_as=old.id)
    async with running(ledger=ledger, admission=Admission(known=lambda: keyring(old, new))) as world:
        assert await statuses(world, by("a"), by("b"), by("b"), by("a")) == [200, 200, 429, 429]


async def test_what_a_header_refuses_counts_for_no_key(ledger: SharedLedger) -> None:
    async with running(ledger=ledger, admission=acme(limits=("2;w=60",))) as world:
        said = by("a") + b"Helicone-RateLimit-Policy: 1;w=60;s=user\r\n"
        assert await statuses(world, said + ANNA, said + ANNA, said + ANNA, said + BERT, said + BERT) == [200, 429, 429, 200, 429]


async def test_defaults_of_a_key(ledger: SharedLedger) -> None:
    """They hold where the call says nothing else."""
    defaults = {"Helicone-RateLimit-Policy": "1;w=60", "Helicone-User-Id": "the key's"}
    async with running(ledger=ledger, admission=acme(defaults=defaults)) as world:
        own = by("a") + b"Helicone-RateLimit-Policy: 5;w=61\r\n" + ANNA
        assert await statuses(world, by("a"), by("a"), own, by("b")) == [200, 429, 200, 200]
        assert [row.call.user_id for row in await world.responses(4)] == ["the key's", "the key's", "anna", None]


async def test_a_policy_that_is_none_is_refused_before_anything_is_sent(ledger: SharedLedger) -> None:
    async with running(ledger=ledger) as world:
        for policy in (b"10", b"10;w=0", b"0;w=60", b"10;w=60;u=tokens", b"10;s=user;w=60", b"-1;w=60"):
            answer = await world.post(headers=b"Helicone-RateLimit-Policy: " + policy + b"\r\n")
            error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
            assert (status_of(answer), error["param"]) == (400, "Helicone-RateLimit-Policy")
            assert "10;w=60;s=user" in error["message"]
        assert world.provider.requests == []


texts = st.text(max_size=4)
whose = st.tuples(texts, texts, st.sampled_from([None, "user", "a", "b"]), texts, st.sampled_from(Unit), st.sampled_from([1, 60]))


@given(whose, whose)
def test_counts_never_meet(one: tuple[str, str, str | None, str, Unit, int], other: tuple[str, str, str | None, str, Unit, int]) -> None:
    """Those of two organizations, keys, segments, units or windows."""

    def window(organization: str, key_id: str, segment: str | None, value: str, unit: Unit, window_s: int) -> bytes:
        return window_of(Organization(organization), key_id, Policy(quota=9, window_s=window_s, unit=unit, segment=segment), value).id

    assert (window(*one) == window(*other)) is (one == other)


def test_a_quota_that_is_raised_begins_no_new_count() -> None:
    small, large = (window_of(Organization("a"), "", Policy(quota=quota, window_s=60), "") for quota in (1, 1000))
    assert small.id == large.id
    assert SECOND == 1_000_000
