"""`heliograph up` as an operator meets it: started, killed, stopped, started twice."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from storage.forkserver import TITLE
from tests.fakes.bucket import bucket
from tests.fakes.soak import children, lives
from tests.fakes.stack import Stack, free_port
from tests.fakes.stack import stack as running

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("up"), workers=2, HELIOGRAPH_QUERY__TIMEOUT_S="15") as made:
        yield made


def call(stack: Stack, fault: str = "") -> httpx.Response:
    headers = {"authorization": "Bearer sk-test", "x-demo-fault": fault}
    return httpx.post(f"{stack.proxy}/v1/chat/completions", json=BODY, headers=headers, timeout=20)


def another(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runtime.cli", "up", *arguments]
    return subprocess.run(command, env=stack.environment(), capture_output=True, text=True, timeout=30, check=False)


def test_it_says_where_things_are(stack: Stack) -> None:
    deadline = time.monotonic() + 10
    while "Heliograph is up" not in stack.log("up") and time.monotonic() < deadline:
        time.sleep(0.05)
    said = stack.log("up")
    for text in (
        f"http://localhost:{stack.port}",
        f"http://localhost:{stack.api_port}",
        str(stack.data_dir),
        "curl ",
        "from openai import",
    ):
        assert text in said


def test_the_question_it_says_can_be_pasted_into_another_shell(stack: Stack, tmp_path: Path) -> None:
    assert call(stack).status_code == 200
    stack.rows("model = 'gpt-4o-mini'")
    (line,) = [line for line in stack.log("up").splitlines() if '"SELECT model' in line]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    plain["PYTHONPATH"] = str(Path(__file__).parents[2])
    asked = subprocess.run(line, shell=True, cwd=tmp_path, env=plain, capture_output=True, text=True, timeout=60, check=False)
    assert "gpt-4o-mini" in asked.stdout, asked.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_both_ports_are_reached_by_every_loopback_name(stack: Stack, host: str) -> None:
    for port in (stack.port, stack.api_port):
        assert httpx.get(f"http://{host}:{port}/healthz").status_code == 200


def test_a_second_one_on_the_same_data_is_refused(stack: Stack) -> None:
    refused = another(stack, "--data-dir", str(stack.data_dir), "--port", str(free_port()), "--api-port", str(free_port()))
    assert refused.returncode == 2
    assert str(stack.processes["up"].pid) in refused.stderr
    assert "HELIOGRAPH_DATA_DIR" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("option", ["--port", "--api-port"])
def test_a_port_in_use_is_refused(stack: Stack, tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = {"--port": str(free_port()), "--api-port": str(free_port())} | {option: str(taken.getsockname()[1])}
        refused = another(stack, "--data-dir", str(tmp_path), *[word for pair in ports.items() for word in pair])
    assert refused.returncode == 2
    assert f"Port {taken and ports[option]}" in refused.stderr
    assert option in refused.stderr


@pytest.mark.parametrize("role", ["ingress", "pipeline", "api"])
def test_a_child_that_dies_is_restarted_and_it_says_so(stack: Stack, role: str) -> None:
    victim = children(stack, role)[0]
    victim.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 15
    while victim.pid in {child.pid for child in children(stack, role)} or not children(stack, role):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    answer = call(stack)
    stack.row(f"request_id = '{answer.headers['helicone-id']}'")
    assert "child_died" in stack.log("up")


def test_a_heavy_question_does_not_delay_a_call(stack: Stack) -> None:
    call(stack)
    heavy = "SELECT count(*) FROM range(100000000) a, range(20) b"
    asking = threading.Thread(target=lambda: httpx.post(f"{stack.api}/v1/query", json={"sql": heavy}, timeout=60))
    asking.start()
    slowest = 0.0
    while asking.is_alive() and slowest < 5:
        began = time.monotonic()
        assert call(stack).status_code == 200
        slowest = max(slowest, time.monotonic() - began)
        if time.monotonic() - began > 3:
            break
    asking.join()
    assert slowest < 3


def test_metrics_are_those_of_all_processes(stack: Stack) -> None:
    call(stack)
    text = httpx.get(f"{stack.api}/metrics").text
    for name in ("heliograph_ingress_calls_total", "heliograph_sink_rows_total", "heliograph_processor_calls_total"):
        assert name in text


def test_a_rating_on_either_port_is_a_column_and_leaves_with_its_call(stack: Stack) -> None:
    for door, rating in ((stack.proxy, True), (stack.api, False)):
        call_id = call(stack).headers["helicone-id"]
        answer = httpx.post(f"{door}/v1/request/{call_id}/feedback", json={"rating": rating}, timeout=20)
        assert (answer.status_code, answer.json()) == (201, {"data": None, "error": None})
        answer = httpx.post(f"{door}/v1/request/{call_id}/score", json={"scores": {"tone": 0.5}}, timeout=20)
        assert answer.status_code == 201
        row = stack.row(f"call_id = '{call_id}' AND rating IS NOT NULL AND cardinality(scores) > 0")
        assert (row["rating"], row["scores"]) == (rating, {"tone": 0.5})
    deadline = time.monotonic() + 10
    while "heliograph_scored_calls_total 4.0" not in httpx.get(f"{stack.proxy}/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_at_the_end_calls_end_and_all_is_in_the_lake(tmp_path: Path, ending: signal.Signals) -> None:
    made = Stack(folder=tmp_path)
    made.start_provider()
    made.start()
    answers: list[httpx.Response] = []
    slow = threading.Thread(target=lambda: answers.append(call(made, "stall-before=1")))
    slow.start()
    quick = [call(made).headers["helicone-id"] for _ in range(20)]
    time.sleep(0.3)
    process = made.processes.pop("up")
    os.killpg(process.pid, ending) if ending is signal.SIGINT else process.send_signal(ending)
    assert process.wait(20) == 0
    slow.join()
    assert answers[0].status_code == 200
    command = [
        sys.executable,
        "-m",
        "runtime.cli",
        "query",
        "SELECT request_id FROM calls",
        "--format",
        "csv",
        "--data-dir",
        str(made.data_dir),
    ]
    environment = made.environment() | {"HELIOGRAPH_API_PORT": str(made.api_port)}
    asked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    found = asked.stdout.split()[1:]
    made.stop("provider")
    assert sorted(found) == sorted([*quick, answers[0].headers["helicone-id"]])


def test_whoever_asks_twice_is_told_what_was_not_finished(tmp_path: Path) -> None:
    made = Stack(folder=tmp_path)
    made.start_provider()
    made.start()

    def cut() -> None:
        with contextlib.suppress(httpx.TransportError):
            call(made, "stall-before=30")

    slow = threading.Thread(target=cut)
    slow.start()
    time.sleep(0.5)
    process = made.processes.pop("up")
    for sign in ("draining", "ending_at_once"):
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 20
        while f'"{sign}"' not in made.log("up") and time.monotonic() < deadline:
            time.sleep(0.05)
    assert process.wait(20) == 1
    slow.join()
    made.stop("provider")
    (ended,) = [json.loads(line) for line in made.log("up").splitlines() if '"ended"' in line]
    assert (ended["complete"], "ingress-1" in ended["killed"], "next start" in ended["remains"]) == (False, True, True)


DEAF = "SELECT levenshtein(repeat('a', 1_000_000), repeat('b', 1_000_000))"
"""A question that nothing inside the engine stops."""


def give_up(stack: Stack, sql: str) -> None:
    """Asks, and leaves before the answer."""
    with contextlib.suppress(httpx.ReadTimeout):
        httpx.post(f"{stack.api}/v1/query", json={"sql": sql}, timeout=0.5)


def test_questions_that_nobody_waits_for_are_in_nobody_s_way(stack: Stack) -> None:
    for _ in range(10):
        give_up(stack, DEAF)
    assert httpx.post(f"{stack.api}/v1/query", json={"sql": "SELECT 1"}, timeout=20).json()["rows"] == [[1]]


def test_health_and_calls_are_answered_while_hostile_questions_run(stack: Stack) -> None:
    id_ = call(stack).headers["helicone-id"]
    stack.row(f"request_id = '{id_}'")
    with ThreadPoolExecutor(3) as threads:  # all turns that one organization may have
        asked = [threads.submit(httpx.post, f"{stack.api}/v1/query", json={"sql": DEAF}, timeout=60) for _ in range(3)]
        time.sleep(1)
        for path in ("/healthz", "/readyz", "/metrics", "/v1/tables", f"/v1/calls/{id_}"):
            assert httpx.get(f"{stack.api}{path}", timeout=20).status_code == 200
        assert not any(each.done() for each in asked)
        told = [each.result() for each in asked]
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in told} == {(504, "query_timeout")}


def test_the_end_does_not_wait_for_a_question_that_takes_its_time(tmp_path: Path) -> None:
    made = Stack(folder=tmp_path, env={"HELIOGRAPH_QUERY__TIMEOUT_S": "600", "HELIOGRAPH_SHUTDOWN_S": "60"})
    made.start()
    told: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: told.append(httpx.post(f"{made.api}/v1/query", json={"sql": DEAF}, timeout=120)))
    asking.start()
    time.sleep(1)
    assert made.stop("up", seconds=100) == 0
    asking.join()
    assert (told[0].status_code, told[0].json()["error"]["code"]) == (503, "stopping")


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_its_children_do_not_outlive_it(tmp_path: Path, ending: signal.Signals) -> None:
    made = Stack(folder=tmp_path, env={"HELIOGRAPH_SHUTDOWN_S": "3"})
    made.start()
    process = made.processes.pop("up")
    asked = json.dumps({"sql": DEAF})
    with socket.create_connection(("127.0.0.1", urlsplit(made.api).port or 0)) as asking:
        head = f"POST /v1/query HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(asked)}\r\n\r\n"
        asking.sendall((head + asked).encode())
        while not any(
            child.name() == TITLE and child.cpu_times().user > 1 for child in psutil.Process(process.pid).children(recursive=True)
        ):
            time.sleep(0.02)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, ending)
        process.wait(30)
    deadline = time.monotonic() + 20
    while any(lives(child) for child in family):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_lake_of_a_later_program_ends_the_start_with_its_reason(tmp_path: Path) -> None:
    made = Stack(folder=tmp_path)
    made.start()
    made.stop()
    from deltalake import DeltaTable  # noqa: PLC0415

    DeltaTable(str(made.data_dir / "lake" / "calls")).alter.set_table_properties(
        {"heliograph.schema_version": "99"}, raise_if_not_exists=False
    )
    refused = another(made, "--data-dir", str(made.data_dir), "--port", str(free_port()), "--api-port", str(free_port()))
    assert refused.returncode == 1
    assert "schema version 99" in refused.stderr


def test_a_log_put_back_and_a_lake_removed_lose_and_double_nothing(tmp_path: Path) -> None:
    """An older copy of the log, then calls past where the lake stands; then no lake at all, to be filled from the log."""
    made, made_calls = Stack(folder=tmp_path), 3

    def one_run(calls: int) -> list[str]:
        made.start()
        names = [call(made).headers["helicone-id"] for _ in range(calls)]
        made.stop()
        return names

    made.start_provider()
    first = one_run(made_calls)
    shutil.copytree(made.data_dir / "log", tmp_path / "copy")
    second = one_run(made_calls)
    shutil.rmtree(made.data_dir / "log")
    shutil.copytree(tmp_path / "copy", made.data_dir / "log")
    third = one_run(4 * made_calls)
    made.start()
    found = [row["request_id"] for row in made.rows("true", count=6 * made_calls)]
    assert sorted(found) == sorted([*first, *second, *third])
    made.stop()
    shutil.rmtree(made.data_dir / "lake")
    made.start()
    found = [row["request_id"] for row in made.rows("true", count=5 * made_calls)]
    assert sorted(found) == sorted([*first, *third])
    made.stop()
    made.stop("provider")


def test_a_lake_in_an_object_store(tmp_path: Path) -> None:
    with bucket() as store:
        settings = store.settings | {"HELIOGRAPH_LAKE_URI": store.uri("whole")}
        with running(tmp_path, **settings) as made:
            answered = call(made).headers["helicone-id"]
            row = made.row(f"request_id = '{answered}'")
            assert made.call(row["call_id"])["response"]["text"]
        assert not (made.data_dir / "lake").exists()
        assert store.config.secret_access_key not in made.log("up")
