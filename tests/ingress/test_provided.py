"""Providers' keys that are filled in: for whom, towards where, and for nobody and nowhere else."""

import json

import pytest

from eventlog.admission import Admission
from eventlog.events import Organization
from eventlog.keys import Auth, Scope
from tests.fakes.ingress import World, running
from tests.fakes.keyring import key, keyring

KEYS = keyring(key("sk-helicone-a", Scope.WRITE), key("sk-helicone-c", Scope.WRITE, organization="globex"))
PROVIDED = {("acme", "openai"): "sk-kept", ("acme", "anthropic"): "sk-ant-kept", ("globex", "openai"): "sk-globex"}


def key_for(organization: Organization, provider: str) -> str | None:
    return PROVIDED.get((organization, provider))


def by(which: str, more: str = "") -> bytes:
    return f"Helicone-Auth: Bearer sk-helicone-{which}\r\n{more}".encode()


async def credentials(world: World, headers: bytes, path: str = "/v1/chat/completions") -> list[str]:
    """What the provider saw of them."""
    await world.post(path, headers=headers)
    lines = world.provider.requests[-1].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return sorted(line for line in lines if line.lower().startswith(("authorization", "x-api-key", "x-goog", "api-key")))


FILLED = {
    "openai": ("/v1/chat/completions", by("a"), ["authorization: Bearer sk-kept"]),
    "by its own route": ("/openai/v1/models", by("a"), ["authorization: Bearer sk-kept"]),
    "another organization": ("/v1/chat/completions", by("c"), ["authorization: Bearer sk-globex"]),
    "anthropic": ("/v1/messages", by("a"), ["x-api-key: sk-ant-kept"]),
    "none is kept": ("/groq/openai/v1/x", by("a"), []),
    "none is kept for this organization": ("/v1/messages", by("c"), []),
    "the caller has one": ("/v1/chat/completions", by("a", "Authorization: Bearer mine\r\n"), ["authorization: Bearer mine"]),
    "the caller has one of another kind": ("/v1/messages", by("a", "x-api-key: mine\r\n"), ["x-api-key: mine"]),
    "the caller has one in the query": ("/v1/chat/completions?key=mine", by("a"), []),
    "our key in the provider's place": (
        "/v1/chat/completions",
        b"Authorization: Bearer sk-helicone-a\r\n",
        ["authorization: Bearer sk-kept"],
    ),
    "our key in the other provider's place": ("/v1/messages", b"x-api-key: sk-helicone-a\r\n", ["x-api-key: sk-ant-kept"]),
}


@pytest.mark.parametrize(("path", "headers", "seen"), FILLED.values(), ids=FILLED)
async def test_filled_in(path: str, headers: bytes, seen: list[str]) -> None:
    async with running(admission=Admission(None, lambda: KEYS), key_for=key_for) as world:
        assert await credentials(world, headers, path) == seen
        for event in [*(await world.requests()), *(await world.responses())]:
            assert "kept" not in str(event)


@pytest.mark.parametrize("auth", [Auth.OPEN, Auth.PERMISSIVE])
async def test_never_where_callers_may_be_unknown(auth: Auth) -> None:
    async with running(admission=Admission(auth, lambda: KEYS), key_for=key_for) as world:
        assert await credentials(world, by("a")) == []


async def test_never_to_a_target_that_a_caller_names() -> None:
    """Not even the provider's own: the caller's word for it is none."""
    async with running(admission=Admission(None, lambda: KEYS), key_for=key_for) as world:
        named = by("a", f"Helicone-Target-URL: {world.provider.url}\r\n")
        assert await credentials(world, named) == []


async def test_fallbacks_at_a_configured_origin() -> None:
    async with running(upstreams_of=("openai",), admission=Admission(None, lambda: KEYS), key_for=key_for) as world:
        entry = {"target-url": world.provider.url, "headers": {}, "onCodes": []}
        said = by("a", f"Helicone-Fallbacks: {json.dumps([entry])}\r\n")
        assert await credentials(world, said) == ["authorization: Bearer sk-kept"]
        own = by("a", f"Helicone-Fallbacks: {json.dumps([entry | {'headers': {'Authorization': 'Bearer mine'}}])}\r\n")
        assert await credentials(world, own) == ["authorization: Bearer mine"]


async def test_fallbacks_elsewhere() -> None:
    async with running() as other, running(admission=Admission(None, lambda: KEYS), key_for=key_for) as world:
        entry = {"target-url": other.provider.url, "headers": {}, "onCodes": []}
        await world.post(headers=by("a", f"Helicone-Fallbacks: {json.dumps([entry])}\r\n"))
        assert b"sk-kept" not in other.provider.requests[-1]
        assert b"authorization" not in other.provider.requests[-1].lower()


async def test_retries_have_it_too() -> None:
    async with running(admission=Admission(None, lambda: KEYS), key_for=key_for) as world:
        assert await credentials(world, by("a", "Helicone-Retry-Enabled: true\r\n")) == ["authorization: Bearer sk-kept"]
