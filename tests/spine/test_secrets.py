"""A key that passes through Heliograph is nowhere in it: not in a file, not in a log line, not in a metric, not in an error."""

from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx

from tests.fakes.stack import Stack, get

SECRETS = {name: f"{name}-{uuid4().hex}" for name in ("provider", "anthropic", "azure", "helicone", "cookie", "query", "path", "userinfo")}
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


def everything_written(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and "provider" not in path.name)


def test_no_secret_is_written_anywhere(stack: Stack) -> None:
    headers = {
        "authorization": f"Bearer {SECRETS['provider']}",
        "x-api-key": SECRETS["anthropic"],
        "api-key": SECRETS["azure"],
        "cookie": f"session={SECRETS['cookie']}",
        "helicone-auth": f"Bearer sk-helicone-{SECRETS['helicone']}",
    }
    query = f"?key={SECRETS['query']}&api-key={SECRETS['query']}&access_token={SECRETS['query']}&alt=sse"
    done = httpx.post(f"{stack.proxy}/v1/chat/completions{query}", json=BODY, headers=headers)
    assert done.status_code == 200
    httpx.post(f"{stack.proxy}/sk-helicone-{SECRETS['path']}/v1/chat/completions", json=BODY, headers=headers)
    target = f"http://someone:{quote(SECRETS['userinfo'])}@127.0.0.1:1/"
    assert httpx.post(f"{stack.proxy}/v1/x", json=BODY, headers=headers | {"helicone-target-url": target}).status_code >= 400
    row = stack.row(f"request_id = '{done.headers['helicone-id']}'")
    assert "alt=sse" in row["path"]
    written = everything_written(stack.folder) + get(f"{stack.proxy}/metrics") + get(f"{stack.api}/metrics")
    found = [name for name, secret in SECRETS.items() if secret.encode() in written]
    assert found == []


def test_heliographs_own_headers_and_keys_never_reach_the_provider(stack: Stack) -> None:
    headers = {
        "authorization": "Bearer sk-test",
        "helicone-auth": f"Bearer sk-helicone-{SECRETS['helicone']}",
        "helicone-property-feature": "chat",
        "x-kept": "yes",
    }
    seen = httpx.post(f"{stack.proxy}/sk-helicone-{SECRETS['path']}/v1/echo", json=BODY, headers=headers)
    assert seen.status_code == 200, seen.text
    assert "x-kept" in seen.text.lower()
    assert "helicone" not in seen.text.lower()
