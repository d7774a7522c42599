"""Our own routes on the proxy port."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from eventlog.events import Outcome
from eventlog.port import LogUnavailable
from eventlog.spill_state import SpillState
from ingress.app import is_ours
from ingress.async_log_routes import PATHS
from ingress.directives import listed
from ingress.feedback import LEGACY
from ingress.otlp.routes import PATHS as SPAN_PATHS
from ingress.telemetry import LOSSES, SPILL_LOSSES
from tests.fakes.ingress import HOST, World, running
from tests.fakes.memory_log import MemoryLog

ROOT = Path(__file__).parents[2]


async def get(world: World, path: str) -> tuple[int, bytes]:
    answer = await world.talk(b"GET %b HTTP/1.1\r\n%bConnection: close\r\n\r\n" % (path.encode(), HOST))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


OURS = {
    "health": (b"/healthz", (), True),
    "with a query": (b"/metrics?x=1", (), True),
    "longer": (b"/healthz/x", (), False),
    "older feedback": (b"/v1/feedback", (), True),
    "a session's feedback": (b"/v1/session/a%2Fb/feedback", (), True),
    "a call": (b"/v1/models", (), False),
    "a target is named": (b"/healthz", ((b"helicone-target-url", b"https://h"),), False),
    "a base is named": (b"/readyz", ((b"helicone-openai-api-base", b"https://h"),), False),
}


@pytest.mark.parametrize(("target", "headers", "ours"), OURS.values(), ids=OURS)
def test_what_is_ours(target: bytes, headers: tuple[tuple[bytes, bytes], ...], ours: bool) -> None:
    assert is_ours(target, headers) == ours


async def test_alive_ready_and_described() -> None:
    async with running() as world:
        assert await get(world, "/healthz") == (200, b'{"status":"ok"}')
        status, ready = await get(world, "/readyz")
        assert (status, json.loads(ready)["status"], json.loads(ready)["log"]) == (200, "ready", "taking")
        status, described = await get(world, "/openapi.json")
        of_requests = {f"/v1/request/{{request_id}}/{what}" for what in ("feedback", "score", "property")}
        of_sessions = {f"/v1/session/{{session_id}}/{what}" for what in ("feedback", "tag")}
        logs = {path.decode() for path in PATHS | SPAN_PATHS}
        assert set(json.loads(described)["paths"]) == {
            "/healthz",
            "/readyz",
            "/metrics",
            "/v1/directives",
            *of_requests,
            *of_sessions,
            *LEGACY,
            *logs,
        }
        status, told = await get(world, "/v1/directives")
        assert (status, told) == (200, msgspec.json.encode({"headers": listed()}))
        assert (await get(world, "/docs"))[0] == 404


async def test_readiness_tells_of_a_broken_log_and_goes_on() -> None:
    log = MemoryLog()
    log.fail_with(LogUnavailable("disk full"))
    async with running(log=log) as world:
        await world.post()
        while world.ingress.emitter.state.log_taking:
            await get(world, "/healthz")
        status, ready = await get(world, "/readyz")
        log.heal()
    found = json.loads(ready)
    assert (status, found["status"], found["log"]) == (200, "ready", "refusing")
    assert found["waiting_events"] > 0


def value_of(metrics: bytes, series: str) -> float:
    return next((float(line.split()[-1]) for line in metrics.decode().splitlines() if line.startswith(series + " ")), 0.0)


async def test_metrics_count_calls_and_events_without_naming_callers_targets() -> None:
    async with running() as other, running() as world:
        _, before = await get(world, "/metrics")
        for _ in range(3):
            await world.post()
        await world.post(headers=b"Helicone-Target-URL: http://127.0.0.1:%d\r\n" % other.provider.port)
        await world.responses(4)
        _, after = await get(world, "/metrics")
    series = 'heliograph_ingress_calls_total{outcome="completed",provider="%s"}'
    assert value_of(after, series % "openai") - value_of(before, series % "openai") == 3
    assert value_of(after, series % "other") - value_of(before, series % "other") == 1
    assert b"127.0.0.1" not in after
    for name in ("heliograph_ingress_latency_seconds_count", "heliograph_ingress_ttft_seconds_count"):
        assert value_of(after, name) - value_of(before, name) == 4
    buckets = [line for line in after.decode().splitlines() if line.startswith("heliograph_ingress_latency_seconds_bucket")]
    counts = [float(line.split()[-1]) for line in buckets]
    assert counts == sorted(counts)
    emitted = 'heliograph_events_emitted_total{topic="llm.responses.v1"}'
    assert value_of(after, emitted) - value_of(before, emitted) == 4


async def test_an_ingress_that_spills_is_ready_and_says_so_and_why() -> None:
    state = SpillState(
        spilling=True,
        since=1.0,
        messages=3,
        bytes=900,
        oldest_s=12.34,
        spilled_events=7,
        dropped={"body_over_spill": 2, "event_refused": 1},
        put_aside=1,
        reason="Kafka is away; see HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS",
    )
    states = [SpillState()]
    async with running(spill=lambda: states[-1]) as world:
        _, before = await get(world, "/metrics")
        states.append(state)
        status, ready = await get(world, "/readyz")
        _, after = await get(world, "/metrics")
        await get(world, "/metrics")
        _, again = await get(world, "/metrics")
    found = json.loads(ready)
    assert (status, found["status"], found["log"]) == (200, "ready", "spilling")
    assert found["spill"] == {
        "since": 1.0,
        "messages": 3,
        "bytes": 900,
        "oldest_seconds": 12.3,
        "dropped_bodies": 2,
        "put_aside": 1,
        "corrupt": 0,
        "reason": state.reason,
    }
    grown = {"heliograph_events_spilled_total": 7, 'heliograph_events_dropped_total{reason="body_over_spill"}': 2}
    for series, count in grown.items():
        assert value_of(after, series) - value_of(before, series) == count
        assert value_of(again, series) == value_of(after, series)
    stands = {"heliograph_spill_bytes": 900, "heliograph_spill_messages": 3, "heliograph_spill_oldest_seconds": 12.34}
    assert {series: value_of(after, series) for series in stands} == stands


async def test_without_kafka_there_is_no_spill_to_speak_of() -> None:
    async with running() as world:
        _, ready = await get(world, "/readyz")
    assert json.loads(ready)["spill"] is None


async def test_what_may_come_to_be_counted_is_shown_at_nought() -> None:
    async with running(spill=SpillState) as world:
        metrics = (await get(world, "/metrics"))[1].decode()
    for provider in ("mistral", "openai", "other", "unknown"):
        for outcome in Outcome:
            assert f'heliograph_ingress_calls_total{{outcome="{outcome}",provider="{provider}"}} ' in metrics
    for reason in (*LOSSES, *SPILL_LOSSES):
        assert f'heliograph_events_dropped_total{{reason="{reason}"}} ' in metrics


def test_every_reason_for_a_loss_is_known() -> None:
    found: set[str] = set()
    ours = (ROOT / "ingress" / name for name in ("emitter.py", "redactor.py", "budget.py"))
    for path in (*ours, *(ROOT / "eventlog").glob("spill*.py")):
        for line in path.read_text().splitlines():
            if re.search(r"_count_lost\(|FAILED, BEHIND, UNHEARD = |SLOW, LARGE = |events_dropped\(|dropped\[|give_up, reason", line):
                found |= set(re.findall(r'"([a-z_]+)"', line))
    assert found == {*LOSSES, *SPILL_LOSSES}


async def test_another_method_names_those_there_are() -> None:
    async with running() as world:
        status, body = await get(world, "/v1/request/x/feedback")
    assert (status, json.loads(body)["error"]["fix"]) == (405, "Use POST.")
