"""Heliograph's keys on the proxy: found wherever one may send them, forwarded nowhere; whose call it is, and who is kept out."""

import base64
import json

import pytest

from eventlog.admission import Admission
from eventlog.keys import Auth
from tests.fakes.ingress import running
from tests.fakes.keyring import KEYS, READER, STRANGER
from tests.fakes.keyring import WRITER as KEY

CHAT = "/v1/chat/completions"
BASIC = base64.b64encode(f"user:{KEY}".encode()).decode()

# Where a key may be: path and headers, and what of Authorization goes on.
PLACES = {
    "its own header": (CHAT, f"Helicone-Auth: Bearer {KEY}\r\nAuthorization: Bearer sk-theirs\r\n", b"Bearer sk-theirs"),
    "without Bearer": (CHAT, f"Helicone-Auth: {KEY}\r\n", None),
    "a segment of the path": (f"/{KEY}{CHAT}", "Authorization: Bearer sk-theirs\r\n", b"Bearer sk-theirs"),
    "encoded": (f"/{KEY.replace('-', '%2D')}{CHAT}", "", None),
    "in the provider's place": (CHAT, f"Authorization: Bearer {KEY}\r\n", None),
    "beside the provider's": (CHAT, f"Authorization: Bearer sk-theirs, Bearer {KEY}\r\n", b"Bearer sk-theirs"),
    "as Anthropic's": (CHAT, f"x-api-key: {KEY}\r\n", None),
    "as Google's": (CHAT, f"x-goog-api-key: {KEY}\r\n", None),
    "as a header's name": (CHAT, f"Helicone-Auth: Bearer {KEY}\r\n{KEY}: 1\r\n", None),
    "as a property's name": (CHAT, f"Helicone-Auth: Bearer {KEY}\r\nHelicone-Property-{KEY}: 1\r\n", None),
    "as Azure's": (CHAT, f"api-key: {KEY}\r\n", None),
    "a password": (CHAT, f"Authorization: Basic {BASIC}\r\n", None),
    "its own header wins": (f"/{STRANGER}{CHAT}", f"Helicone-Auth: Bearer {KEY}\r\nx-api-key: {STRANGER}\r\n", None),
}


@pytest.mark.parametrize(("path", "headers", "forwarded"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("auth", [None, Auth.OPEN])
async def test_found_and_not_forwarded(path: str, headers: str, forwarded: bytes | None, auth: Auth | None) -> None:
    async with running(admission=Admission(auth, lambda: KEYS)) as world:
        answer = await world.post(path, headers=headers.encode())
        assert answer.startswith(b"HTTP/1.1 200 ")
        (request,), (response,) = await world.requests(), await world.responses()
        assert {request.call.organization, response.call.organization} == {"acme"}
        (sent,) = world.provider.requests
        assert sent.startswith(f"POST {CHAT} HTTP/1.1".encode())
        line = b"" if forwarded is None else b"authorization: " + forwarded + b"\r\n"
        assert line in sent.lower().replace(b"bearer sk", b"Bearer sk")
        assert (b"authorization" in sent.lower()) is (forwarded is not None)
        assert KEY[12:].encode() not in sent
        assert KEY[12:] not in f"{request}{response}"


REFUSED = {
    "no key": ("", 401, "key_missing"),
    "a provider's key alone": ("Authorization: Bearer sk-theirs\r\n", 401, "key_missing"),
    "a stranger's": (f"Helicone-Auth: Bearer {STRANGER}\r\n", 401, "key_unknown"),
    "a key in disguise": (f"x-api-key: Basic {BASIC}\r\n", 401, "key_missing"),
    "a key in another disguise": (f"Authorization: Bearer {KEY.replace('-', '%2D')}\r\n", 401, "key_missing"),
    "no key at all": ("Helicone-Auth: Bearer\r\n", 401, "key_unknown"),
    "a wrong one beside a good one": (f"Helicone-Auth: Bearer x\r\nAuthorization: Bearer {KEY}\r\n", 401, "key_unknown"),
    "one that may only ask": (f"Helicone-Auth: Bearer {READER}\r\n", 403, "scope_missing"),
}


@pytest.mark.parametrize(("headers", "status", "code"), REFUSED.values(), ids=REFUSED)
async def test_kept_out(headers: str, status: int, code: str) -> None:
    """In the words of the caller's dialect; nothing is sent on, and nothing written down."""
    async with running(admission=Admission(Auth.REQUIRED, lambda: KEYS)) as world:
        openai = await world.post(headers=headers.encode())
        anthropic = await world.post("/v1/messages", headers=headers.encode())
        assert openai.startswith(f"HTTP/1.1 {status} ".encode())
        error = json.loads(openai.partition(b"\r\n\r\n")[2])["error"]
        assert (error["code"], error["param"]) == (code, "Helicone-Auth")
        told = json.loads(anthropic.partition(b"\r\n\r\n")[2])
        assert (told["type"], told["code"], told["error"]["type"]) == (
            "error",
            code,
            "authentication_error" if status == 401 else "permission_error",
        )
        assert world.provider.requests == []
        assert (await world.post(headers=f"Helicone-Auth: Bearer {KEY}\r\n".encode())).startswith(b"HTTP/1.1 200 ")
        assert len(await world.responses()) == len(await world.requests()) == 1


@pytest.mark.parametrize("durability", ["buffered", "strict"])
async def test_permissive_forwards_and_keeps_nothing(durability: str) -> None:
    async with running(admission=Admission(Auth.PERMISSIVE, lambda: KEYS), durability=durability) as world:
        for headers, _, _ in REFUSED.values():
            assert (await world.post(headers=headers.encode())).startswith(b"HTTP/1.1 200 ")
        await world.post(headers=f"Helicone-Auth: Bearer {KEY}\r\n".encode())
        assert len(world.provider.requests) == len(REFUSED) + 1
        assert [event.call.organization for event in await world.responses()] == ["acme"]
        assert len(await world.requests()) == 1


async def test_a_refusal_while_a_body_is_on_its_way() -> None:
    """The rest of it is not read as another request."""
    async with running(admission=Admission(Auth.REQUIRED, lambda: KEYS)) as world:
        body = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2_000
        answer = await world.post(body=body)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert answer.count(b"HTTP/1.1 ") == 1
