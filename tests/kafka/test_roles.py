"""The roles as commands of their own, each a process: two ingress, processors, a sink, the query side."""

import asyncio
import contextlib
import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from runtime import role_commands
from runtime.settings import Settings
from tests.fakes import kafka
from tests.fakes.stack import COMMAND, Stack, free_port, get, wait_until_ready


def settings_of(config: kafka.KafkaConfig) -> dict[str, str]:
    return {
        "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": config.bootstrap_servers,
        "HELIOGRAPH_KAFKA__TOPIC_PREFIX": config.topic_prefix,
        "HELIOGRAPH_KAFKA__PARTITIONS": str(config.partitions),
        "HELIOGRAPH_KAFKA__MAX_MESSAGE_BYTES": str(config.max_message_bytes),
    }


def call(port: int, user: str) -> str:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}
    headers = {"content-type": "application/json", "authorization": "Bearer sk-test", "helicone-user-id": user}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.headers["helicone-id"])


@pytest.mark.timeout(180)
async def test_every_role_runs_alone_and_says_how_it_is(broker: str, tmp_path: Path) -> None:
    config = kafka.config(broker)
    await kafka.create_topics(config)
    lake = {"HELIOGRAPH_LAKE_URI": str(tmp_path / "lake"), "HELIOGRAPH_SINK__FLUSH_SECONDS": "1"}
    world = Stack(folder=tmp_path, env=settings_of(config) | lake)
    ports = {name: free_port() for name in ("ingress-1", "ingress-2", "processors", "sink")}
    try:
        world.start_provider()
        for name in ("ingress-1", "ingress-2"):
            world.spawn(name, "ingress", "--port", str(ports[name]), "--data-dir", str(tmp_path / name))
        for name in ("processors", "sink"):
            world.spawn(name, name, "--health-port", str(ports[name]), "--data-dir", str(tmp_path / name))
        world.spawn("api", "api", "--api-port", str(world.api_port), "--data-dir", str(tmp_path / "api"))
        for name, port in {**ports, "api": world.api_port}.items():
            wait_until_ready(f"http://127.0.0.1:{port}/readyz", world.processes[name], tmp_path / f"{name}.log", seconds=60)
            assert f'"at": "http://127.0.0.1:{port}", "event": "listening"' in world.log(name)
        ids = {call(ports["ingress-1"], "roles"), call(ports["ingress-2"], "roles")}
        assert {row["call_id"] for row in wait_for_rows(world, 2)} == ids
        judged = sorted(ids)
        rate(ports["ingress-1"], judged[0], rating=True)
        rate(world.api_port, judged[1], rating=False)
        rated = wait_for_rows(world, 2, "rating IS NOT NULL")
        assert {row["call_id"]: row["rating"] for row in rated} == {judged[0]: True, judged[1]: False}
        metrics = {name: get(f"http://127.0.0.1:{ports[name]}/metrics").decode() for name in ("processors", "sink")}
        assert 'heliograph_processor_calls_total{dialect="openai.chat"} 2.0' in metrics["processors"]
        assert 'heliograph_sink_rows_total{table="calls"} 2.0' in metrics["sink"]
        assert 'heliograph_log_lag_messages{group="processors"' in metrics["sink"]
        assert json.loads(get(f"http://127.0.0.1:{ports['processors']}/healthz")) == {"status": "ok"}
        for name in ("ingress-1", "ingress-2", "processors", "sink"):
            assert world.stop(name) == 0, world.log(name)
    finally:
        for name in list(world.processes):
            world.kill_tree(name)


def rate(port: int, call_id: str, *, rating: bool) -> None:
    body, headers = json.dumps({"rating": rating}).encode(), {"content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/request/{call_id}/feedback", body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert (answer.status, json.load(answer)) == (201, {"data": None, "error": None})


def wait_for_rows(world: Stack, count: int, where: str = "true") -> list[dict[str, object]]:
    """A log named `up` is what a Stack shows when rows do not come; here each role has its own."""
    try:
        return world.rows(f"user_id = 'roles' AND {where}", count=count, seconds=40)
    except FileNotFoundError:
        raise AssertionError("\n".join(world.log(name)[-2000:] for name in ("ingress-1", "processors", "sink", "api"))) from None


@pytest.mark.timeout(240)
@pytest.mark.needs("a broker of one's own")
async def test_an_outage_is_told_once_and_until_it_is_over_no_role_is_ready(tmp_path: Path) -> None:
    ports, names = {"processors": free_port(), "sink": free_port()}, ("processors", "sink")
    with kafka.running_broker(kafka.local_broker(tmp_path / "broker")) as broker:
        config = kafka.config(broker.address)
        await kafka.create_topics(config)
        quick = {"HELIOGRAPH_KAFKA__REQUEST_TIMEOUT_S": "3"}
        world = Stack(folder=tmp_path, env=settings_of(config) | quick)
        try:
            for name in names:
                world.spawn(name, name, "--health-port", str(ports[name]), "--data-dir", str(tmp_path / name))
            await asyncio.gather(*(told(ports[name], "ready") for name in names))
            broker.kill()
            whys = await asyncio.gather(*(told(ports[name], "waiting for Kafka: ") for name in names))
            assert all(f"Kafka at {broker.address} cannot be reached" in why for why in whys)
            await asyncio.sleep(5)  # long enough for what is told each two seconds
            await asyncio.to_thread(broker.start)
            await asyncio.gather(*(told(ports[name], "ready") for name in names))
            for name in names:
                assert world.stop(name) == 0, world.log(name)
        finally:
            for name in list(world.processes):
                world.kill_tree(name)
    for name in names:
        said = world.log(name)
        assert said.count('"log_unavailable"') <= 2, said  # one for the lag, one for the reader
        assert '"log_available"' in said
        assert f'"at": "http://127.0.0.1:{ports[name]}", "event": "listening"' in said
        for riddle in ("Traceback", "CancelledError", "Unclosed"):
            assert riddle not in said, said


async def told(port: int, wanted: str) -> str:
    """What `/readyz` says, as soon as it begins so: 200 for ready, else 503."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                try:
                    status, said = 200, await asyncio.to_thread(get, f"http://127.0.0.1:{port}/readyz")
                except urllib.error.HTTPError as refused:
                    status, said = refused.code, refused.read()
                why = str(json.loads(said)["status"])
                assert (status == 200) == (why == "ready")
                if why.startswith(wanted):
                    return why
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("role", ["processors", "sink"])
def test_missing_topics_are_named_in_lines_that_people_can_read(broker: str, role: str, tmp_path: Path) -> None:
    config = kafka.config(broker)
    world = Stack(folder=tmp_path, env=settings_of(config) | {"HELIOGRAPH_LOG_FORMAT": "text"})
    command = [*COMMAND, role, "--health-port", str(free_port())]
    done = subprocess.run(command, env=world.environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[0] == f"heliograph {role}: The cluster's topics are not fit to be read:"
    assert len(lines) == 2, done.stderr
    assert f"{config.topic_prefix}llm.responses.v1, " in lines[1]
    assert lines[1].endswith(": is missing; run `heliograph topics create`")


def test_a_role_is_not_ready_while_kafka_is_away(tmp_path: Path) -> None:
    port = free_port()
    away = {"HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    world = Stack(folder=tmp_path, env=away)
    for role in ("processors", "sink"):
        process = world.spawn(role, role, "--health-port", str(port), "--data-dir", str(tmp_path / role))
        try:
            wait_until_ready(f"http://127.0.0.1:{port}/healthz", process, tmp_path / f"{role}.log", seconds=60)
            with pytest.raises(urllib.error.HTTPError) as refused:
                get(f"http://127.0.0.1:{port}/readyz")
            assert refused.value.code == 503
            assert json.loads(refused.value.read())["status"].startswith("waiting for Kafka")
            assert world.stop(role) == 0
        finally:
            if role in world.processes:
                world.kill_tree(role)


@pytest.mark.parametrize("role", ["processors", "sink"])
def test_a_role_of_kafka_alone_names_the_setting(role: str, tmp_path: Path) -> None:
    world = Stack(folder=tmp_path)
    done = subprocess.run([*COMMAND, role], env=world.environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "set HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS" in done.stderr


def test_a_sink_alone_commits_every_ten_seconds_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that the role is given, as it would be started."""
    given: list[str | None] = []

    def become_on_kafka(role: str, chosen: Settings) -> None:
        assert role == "sink"
        given.append(os.environ.get(role_commands.FLUSH))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("HELIOGRAPH_HEALTH_PORT", str(free_port()))
    monkeypatch.setattr(role_commands, "become_on_kafka", become_on_kafka)
    for said in (None, "3"):
        monkeypatch.setenv(role_commands.FLUSH, said or "")
        if said is None:
            monkeypatch.delenv(role_commands.FLUSH)
        role_commands.sink()
    assert given == ["10", "3"]
