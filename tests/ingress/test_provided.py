"""Providers' keys that are filled in: for whom, towards where, and for nobody and nowhere else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from eventlog.admission import Admission
from eventlog.events import CallId, Organization
from eventlog.keys import Auth, Scope
from ingress.config import IngressConfig
from ingress.heads import read_head
from ingress.provided import Provided
from ingress.recording import Recording
from ingress.routes import Place, Router
from ingress.upstream import Origin
from tests.fakes.ingress import World, running
from tests.fakes.keyring import key, keyring
from tests.fakes.provider import Peer, sized

KEYS = keyring(key("sk-helicone-a", Scope.WRITE), key("sk-helicone-c", Scope.WRITE, organization="globex"))
PROVIDED = {
    ("acme", "openai"): "sk-kept",
    ("acme", "anthropic"): "sk-ant-kept",
    ("globex", "openai"): "sk-globex",
}


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
    "headers that say nothing of who calls": (
        "/v1/chat/completions",
        by("a", "x-goog-api-client: google-genai-sdk/1.50.0\r\ncookie: a=b\r\n"),
        ["authorization: Bearer sk-kept", "x-goog-api-client: google-genai-sdk/1.50.0"],
    ),
    "our key in Google's place": (
        "/v1/chat/completions",
        b"x-goog-api-key: sk-helicone-a\r\n",
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


async def test_a_provider_that_repeats_it_does_not_have_it_written_down() -> None:
    async def repeating(peer: Peer, request: bytes) -> None:
        await sized(b'{"sent":"' + (b"sk-kept" if b"Bearer sk-kept" in request else b"nothing") + b'"}')(peer, request)

    async with running(repeating, admission=Admission(None, lambda: KEYS), key_for=key_for) as world:
        assert b'{"sent":"sk-kept"}' in await world.post(headers=by("a"))
        (response,) = await world.responses()
        assert response.response.text == '{"sent":"***"}'


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
        ours = by("a", f"Helicone-Fallbacks: {json.dumps([entry | {'headers': {'Authorization': 'Bearer sk-helicone-a'}}])}\r\n")
        assert await credentials(world, ours) == ["authorization: Bearer sk-kept"]
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


ORGANIZATIONS, PROVIDERS = ("acme", "globex", "initech"), ("openai", "anthropic", "groq", "google")
HEADERS = ("content-type", "authorization", "x-api-key", "cookie", "x-my-token", "x-goog-api-client")
ROUTER = Router(IngressConfig(upstreams={name: f"http://{name}.example" for name in PROVIDERS}))


class Sent(Struct, frozen=True):
    """A call as it goes out."""

    organization: str
    known: bool
    """By a key of its own."""
    provider: str
    """At whose configured origin it goes."""
    trusted: bool
    """By its route; else because the caller said so."""
    fallback: bool
    headers: frozenset[str]
    everybody_known: bool
    query: bytes


calls = st.builds(
    Sent,
    st.sampled_from(ORGANIZATIONS),
    st.booleans(),
    st.sampled_from(PROVIDERS),
    st.booleans(),
    st.booleans(),
    st.frozensets(st.sampled_from(HEADERS), max_size=2),
    st.booleans(),
    st.sampled_from([b"", b"?key=mine", b"?q=1"]),
)


def added(call: Sent) -> list[str]:
    """The keys that are filled in, of all that every organization keeps with every provider."""
    target = b"/v1/x" + call.query
    recording = Recording(CallId("c"), 0.0, b"POST", target, read_head([]))
    recording.organization = Organization(call.organization)
    recording.key = key("sk-helicone-x", Scope.WRITE, organization=call.organization) if call.known else None
    place = Place(provider=call.provider, origin=Origin.parse(f"http://{call.provider}.example")[0], trusted=call.trusted)
    headers = [(name.encode(), b"mine") for name in call.headers]
    provided = Provided(lambda whose, provider: f"kept-{whose}-{provider}", lambda: call.everybody_known, ROUTER)
    sent = provided.headers(recording, place, headers, fallback=call.fallback)
    return [value.decode().removeprefix("Bearer ") for _, value in sent if b"kept-" in value]


@given(calls, calls)
def test_no_organization_sends_another_s_key(one: Sent, other: Sent) -> None:
    """Of any two calls: each sends its own organization's key for the provider at whose origin it goes, or none."""
    for call in (one, other):
        own = call.headers <= {"content-type", "cookie", "x-goog-api-client"} and call.query != b"?key=mine"
        may = call.known and call.everybody_known and own and (call.trusted or call.fallback)
        assert added(call) == ([f"kept-{call.organization}-{call.provider}"] if may else [])
    if (one.organization, one.provider) != (other.organization, other.provider):
        assert not {*added(one)} & {*added(other)}
