"""Keys, limits and the cache as they count in a running `heliograph up`: with nothing restarted, and after a restart."""

import http.server
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.fakes.stack import Stack, free_port
from tests.fakes.stack import stack as running

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
AT_ONCE_S = 1.0
"""So soon a decision counts everywhere, once its command is over. A busy machine is given more."""
PATIENCE_S = 20


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("keys"), workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Without keys. Each of its tests has users and questions of its own."""
    with running(tmp_path_factory.mktemp("open"), workers=2) as made:
        yield made


def typed(stack: Stack, *words: str, fails: bool = False, **env: str) -> str:
    command = [sys.executable, "-m", "runtime.cli", *words]
    found = subprocess.run(command, env=stack.environment() | env, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode != 0) is fails, found.stderr
    return found.stderr if fails else found.stdout.strip()


def call(stack: Stack, key: str | None = None, name: str = "helicone-auth") -> httpx.Response:
    """On a connection of its own: the workers take turns."""
    headers = {"authorization": "Bearer sk-test"} | ({} if key is None else {name: f"Bearer {key}"})
    return httpx.post(f"{stack.proxy}/v1/chat/completions", json=BODY, headers=headers, timeout=20)


def ask(stack: Stack, key: str | None, sql: str) -> httpx.Response:
    return httpx.post(
        f"{stack.api}/v1/query", json={"sql": sql}, headers={} if key is None else {"authorization": f"Bearer {key}"}, timeout=20
    )


def soon(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(AT_ONCE_S / 10)


def test_a_day_with_keys(stack: Stack) -> None:
    assert call(stack).status_code == 200  # nobody has to say who they are yet
    data = ("--data-dir", str(stack.data_dir))
    acme = typed(stack, "keys", "create", "acme's", "--organization", "acme", *data)
    globex = typed(stack, "keys", "create", "globex's", "--organization", "globex", *data)

    def everywhere(status: int, *of: Callable[[], httpx.Response]) -> bool:
        return all(each().status_code == status for each in of for _ in range(8))

    soon(lambda: everywhere(401, lambda: call(stack), lambda: ask(stack, None, "SELECT 1")))
    soon(lambda: everywhere(200, lambda: call(stack, globex), lambda: ask(stack, globex, "SELECT 1")))

    mine = call(stack, acme).headers["helicone-id"]
    count = f"SELECT count(*) FROM calls WHERE request_id = '{mine}' AND organization = 'acme'"
    soon(lambda: ask(stack, acme, count).json()["rows"] == [[1]])
    assert ask(stack, globex, count).json()["rows"] == [[0]]
    assert ask(stack, globex, "SELECT DISTINCT organization FROM calls").json()["rows"] == [["globex"]]
    assert httpx.get(f"{stack.api}/v1/calls/{mine}", headers={"authorization": f"Bearer {globex}"}).status_code == 404

    for port in (stack.proxy, stack.api):
        rated = f"{port}/v1/request/{mine}/feedback"
        for key, status in ((acme, 201), (globex, 201), ("nobody's", 401)):
            assert httpx.post(rated, json={"rating": key == acme}, headers={"helicone-auth": f"Bearer {key}"}).status_code == status
    soon(lambda: ask(stack, acme, f"SELECT rating FROM calls WHERE request_id = '{mine}'").json()["rows"] == [[True]])

    asked = ("query", "SELECT DISTINCT organization AS o FROM calls", "--format", "csv", "--api-port", str(stack.api_port))
    assert typed(stack, *asked, HELIOGRAPH_API_KEY=acme).split() == ["o", "acme"]
    assert "Heliograph key" in typed(stack, *asked, fails=True)
    both = (*asked[:1], "SELECT DISTINCT organization AS o FROM calls WHERE o <> 'default' ORDER BY 1", *asked[2:], "--organization")
    assert "organization_forbidden" in typed(stack, *both, "all", fails=True, HELIOGRAPH_API_KEY=acme)
    operator = typed(stack, "keys", "create", "operator's", "--scope", "admin", *data)
    soon(lambda: ask(stack, operator, "SELECT 1").status_code == 200)
    assert typed(stack, *both, "all", HELIOGRAPH_API_KEY=operator).split() == ["o", "acme", "globex"]
    assert typed(stack, *both, "globex", HELIOGRAPH_API_KEY=operator).split() == ["o", "globex"]
    files = (*both[:4], *data)
    assert typed(stack, *files, "--organization", "all").split() == ["o", "acme", "globex"]
    assert typed(stack, *files, "--organization", "acme").split() == ["o", "acme"]
    assert typed(stack, *files).split() == ["o"]

    typed(stack, "keys", "revoke", "acme's", *data)
    soon(lambda: everywhere(401, lambda: call(stack, acme), lambda: ask(stack, acme, "SELECT 1")))
    assert call(stack, acme).json()["error"]["code"] == "key_revoked"
    assert call(stack, globex).status_code == 200

    stack.stop()
    stack.start()
    assert (call(stack).status_code, call(stack, acme).status_code, call(stack, globex).status_code) == (401, 401, 200)
    kept = stack.folder.rglob("*")
    assert not [file for file in kept if file.is_file() and any(key[12:].encode() in file.read_bytes() for key in (acme, globex))]


def test_ten_in_a_minute_by_the_sdk_among_workers(open_to_all: Stack) -> None:
    """The skill page's snippet, asked twelve times, of two workers; a restart forgets nothing."""
    stack = open_to_all
    clients = [
        openai.OpenAI(
            base_url=f"{stack.proxy}/v1",
            api_key="sk-test",
            max_retries=0,
            default_headers={"Helicone-Auth": "Bearer sk-helicone-xxxx", "Helicone-RateLimit-Policy": "10;w=600;s=user"},
        )
        for _ in range(6)
    ]

    def status_of(client: openai.OpenAI, user: str) -> int:
        named = {"Helicone-User-Id": user}
        try:
            client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "Hello"}], extra_headers=named)
        except openai.RateLimitError as error:
            return error.status_code if "retry-after" in error.response.headers else 0
        return 200

    def statuses(user: str) -> list[int]:
        return [status_of(client, user) for client in clients * 2]

    assert statuses("user-123") == [200] * 10 + [429] * 2
    assert statuses("user-456") == [200] * 10 + [429] * 2
    outcomes = Counter(row["outcome"] for row in stack.rows("user_id = 'user-456'", count=12))
    assert outcomes == {"completed": 10, "rate_limited": 2}
    stack.kill_tree()
    stack.start()
    assert statuses("user-123") == [429] * 12


def test_cents_of_each_user(open_to_all: Stack) -> None:
    """What calls cost, as it was understood, comes back to the workers that let them pass."""
    stack = open_to_all

    def call_of(user: str) -> httpx.Response:
        headers = {
            "authorization": "Bearer sk-test",
            "helicone-user-id": user,
            "helicone-ratelimit-policy": "0.01;w=600;u=cents;s=user",
        }
        return httpx.post(f"{stack.proxy}/v1/chat/completions", json=BODY | {"model": "gpt-4"}, headers=headers, timeout=20)

    soon(lambda: call_of("anna").status_code == 429)
    assert call_of("bert").status_code == 200
    stack.rows("user_id = 'anna' AND rate_limited")
    assert sum(row["cost_usd"] or 0 for row in stack.rows("user_id = 'anna'")) >= 0.0001


def test_a_provider_s_key_that_is_kept(tmp_path: Path) -> None:
    """Callers send only their own; it reaches the provider, and is written down nowhere."""
    seen: list[str | None] = []

    class Provider(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers["authorization"])
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    secret = {"HELIOGRAPH_VAULT_SECRET": "0123456789abcdef0123456789abcdef"}
    upstream = {"HELIOGRAPH_UPSTREAMS__OPENAI": f"http://127.0.0.1:{provider.server_address[1]}"}
    with provider, running(tmp_path, **secret, **upstream) as stack:
        data = ("--data-dir", str(stack.data_dir))
        mine = typed(stack, "keys", "create", "mine", "--organization", "acme", *data)
        whose = ("--organization", "acme", *data)
        told = subprocess.run(
            [sys.executable, "-m", "runtime.cli", "provider-keys", "set", "openai", *whose],
            env=stack.environment(),
            input="sk-kept-for-acme\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert told.stdout.strip() == "The key of openai for acme, …acme, is kept."
        assert "acme" in typed(stack, "provider-keys", "list", *data)

        def sent() -> str | None:
            headers = {"helicone-auth": f"Bearer {mine}"}
            httpx.post(f"{stack.proxy}/v1/chat/completions", json=BODY, headers=headers, timeout=20)
            return seen[-1] if seen else None

        soon(lambda: sent() == "Bearer sk-kept-for-acme")
        typed(stack, "provider-keys", "remove", "openai", *whose)
        soon(lambda: sent() is None)
        provider.shutdown()
        kept = [file for file in tmp_path.rglob("*") if file.is_file() and b"sk-kept-for-acme" in file.read_bytes()]
        assert kept == []


def test_the_second_is_given_again_by_any_worker(open_to_all: Stack) -> None:
    """The skill page's snippet: an identical call made right after the first is a hit, also through another worker, and after a kill -9."""
    stack = open_to_all

    def answers(question: str, count: int, **more: str) -> list[Any]:
        found = []
        for _ in range(count):
            client = openai.OpenAI(
                base_url=f"{stack.proxy}/v1",
                api_key="sk-test",
                default_headers={"Helicone-Auth": "Bearer sk-helicone-xxxx", "Helicone-Cache-Enabled": "true"} | more,
            )
            with client:
                messages: Any = [{"role": "user", "content": question}]
                found.append(client.chat.completions.with_raw_response.create(model="gpt-3.5-turbo", messages=messages))
        return found

    first, *others = answers("What is 2+2?", 10)
    assert [answer.headers["helicone-cache"] for answer in (first, *others)] == ["MISS"] + ["HIT"] * 9
    assert {answer.content for answer in others} == {first.content}
    bucket = answers("Summarize our FAQ", 6, **{"Helicone-Cache-Bucket-Max-Size": "3"})
    assert [answer.headers["helicone-cache"] for answer in bucket] == ["MISS"] * 3 + ["HIT"] * 3
    miss = stack.row(f"request_id = '{first.headers['helicone-id']}'")
    hit = stack.row(f"request_id = '{others[0].headers['helicone-id']}'")
    assert (miss["cache_hit"], hit["cache_hit"], hit["cache_reference_id"]) == (False, True, miss["call_id"])
    assert (hit["cost_usd"], hit["cost_saved_usd"], hit["attempts"]) == (0, miss["cost_usd"], 0)
    stack.kill_tree()
    stack.start()
    assert answers("What is 2+2?", 1)[0].headers["helicone-cache"] == "HIT"
    data = ("--data-dir", str(stack.data_dir))
    assert typed(stack, "cache", "stats", *data).startswith("4 answers, ")
    assert typed(stack, "cache", "clear", *data) == "4 answers are forgotten."
    assert answers("What is 2+2?", 1)[0].headers["helicone-cache"] == "MISS"


def test_where_there_is_no_cache(stack: Stack, tmp_path: Path) -> None:
    assert "There is no cache in" in typed(stack, "cache", "stats", "--data-dir", str(tmp_path), fails=True)


def test_beyond_this_machine_a_first_key_must_be_there(stack: Stack, tmp_path: Path) -> None:
    ports = ("--port", str(free_port()), "--api-port", str(free_port()))
    refused = typed(stack, "up", "--host", "0.0.0.0", *ports, "--data-dir", str(tmp_path), fails=True)
    assert "heliograph keys create" in refused
    assert "HELIOGRAPH_AUTH=open" in refused
    assert "Traceback" not in refused


def test_what_is_redacted_counts_at_once(tmp_path: Path) -> None:
    """The provider sees what was said; the answer comes as it was given; the log and the lake never hold it."""
    seen: list[bytes] = []
    answered = b'{"model":"gpt-4o-mini","choices":[{"message":{"content":"Write to bob.builder@example.com"}}]}'
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "I am alice.smith@example.com, card 4111 1111 1111 1111"}]}

    class Provider(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            given = b"{}" if b"probe@" in body else answered
            seen.append(body)
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(given)))
            self.end_headers()
            self.wfile.write(given)

    provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    upstream = {"HELIOGRAPH_UPSTREAMS__OPENAI": f"http://127.0.0.1:{provider.server_address[1]}"}
    with provider, running(tmp_path, workers=2, **upstream) as stack:
        data = ("--data-dir", str(stack.data_dir))
        typed(stack, "redaction", "set", "--detect", "email", "--detect", "card", *data)

        def redacted(*_: object) -> bool:
            """By all workers."""
            probe = {"messages": [{"content": "probe@example.com"}]}
            ids = [httpx.post(f"{stack.proxy}/v1/probes", json=probe, timeout=20).headers["helicone-id"] for _ in range(8)]
            return all(dict(row["redactions"]) == {"email": 1} for row in stack.rows(f"request_id IN {tuple(ids)}", count=8))

        soon(redacted)
        answers = [httpx.post(f"{stack.proxy}/v1/chat/completions", json=asked, timeout=20) for _ in range(6)]
        assert {answer.content for answer in answers} == {answered}
        assert {body for body in seen if b"probe@" not in body} == {answers[0].request.content}
        rows = stack.rows("path LIKE '%completions'", count=6)
        assert [dict(row["redactions"]) for row in rows] == [{"email": 2, "card": 1}] * 6
        texts = ask(stack, None, "SELECT DISTINCT side, text FROM bodies WHERE contains(text, 'model') ORDER BY side").json()["rows"]
        assert [side for side, _ in texts] == ["request", "response"]
        assert "I am [redacted:email], card [redacted:card]" in texts[0][1]
        assert "Write to [redacted:email]" in texts[1][1]
        provider.shutdown()
    secrets = (b"alice.smith@", b"bob.builder@", b"4111 1111")
    assert [file for file in tmp_path.rglob("*") if file.is_file() and any(each in file.read_bytes() for each in secrets)] == []
