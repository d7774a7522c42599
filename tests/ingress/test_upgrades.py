"""An Upgrade that is only offered is ignored: the call is a call, and the connection stays good for the next."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.fakes.ingress import HOST, World, running
from tests.fakes.provider import ANSWER

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
GET = b"GET /v1/models HTTP/1.1\r\n" + HOST
POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST
NEXT = GET + b"X-Next: 1\r\nConnection: close\r\n\r\n"
BODY = b'{"model": "gpt-4o-mini"}'

OFFERS = {
    "without a body": GET + H2C + b"\r\n",
    "an empty body": POST + H2C + b"Content-Length: 0\r\n\r\n",
    "a body": POST + H2C + b"Content-Length: 24\r\n\r\n" + BODY,
    "chunks": POST + H2C + b"Transfer-Encoding: chunked\r\n\r\n18\r\n" + BODY + b"\r\n0\r\n\r\n",
    "twice": POST + H2C + b"Content-Length: 24\r\n\r\n" + BODY + GET + H2C + b"\r\n",
    "another protocol": GET + b"Connection: upgrade\r\nUpgrade: TLS/1.0\r\n\r\n",
    "without Connection": GET + b"Upgrade: h2c\r\n\r\n",
}


def statuses(answers: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d+)", answers)


@pytest.mark.parametrize("every", [10_000, 7, 1], ids=["at once", "by seven bytes", "byte by byte"])
@pytest.mark.parametrize("sent", OFFERS.values(), ids=OFFERS)
async def test_an_offer_is_ignored_and_the_next_request_is_heard(sent: bytes, every: int) -> None:
    async with running() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        whole = sent + NEXT
        for start in range(0, len(whole), every):
            writer.write(whole[start : start + every])
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            answers = await reader.read()
        writer.close()
        seen = b"".join(world.provider.requests)
        calls = 3 if sent.count(H2C) == 2 else 2
        received = [event.request.text for event in await world.requests(calls)]
    assert statuses(answers) == [b"200"] * calls
    assert answers.count(ANSWER) == calls
    assert b"pgrade" not in seen
    assert b"ettings" not in seen
    assert received.count(BODY.decode()) == sent.count(BODY)
    assert b"x-next: 1" in seen


async def test_expect_and_an_offer() -> None:
    async with running() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(POST + H2C + b"Expect: 100-continue\r\nContent-Length: 24\r\n\r\n")
        async with asyncio.timeout(30):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(BODY + NEXT)
            assert statuses(await reader.read()) == [b"200", b"200"]
        writer.close()


async def test_a_body_that_is_none_after_an_offer() -> None:
    async with running() as world:
        answer = await world.talk(POST + H2C + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert statuses(answer) == [b"400"]


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
async def test_our_own_routes_ignore_it_too(protocol: bytes) -> None:
    offer = b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol
    async with running() as world:
        answers = await world.talk(b"GET /healthz HTTP/1.1\r\n" + HOST + offer + NEXT)
    assert statuses(answers) == [b"200", b"200"]


REFUSED = {
    "a websocket": GET + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "a websocket or h2c": GET + b"Connection: Upgrade\r\nUpgrade: h2c, WebSocket\r\n\r\n",
    "a tunnel": b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_ignored_is_refused_and_the_connection_ends(sent: bytes) -> None:
    async with running() as world:
        answer = await world.talk(sent, b"\x81\x85\0\0\0\0hello")
        assert world.provider.requests == []
    assert statuses(answer)[0] == b"501"
    assert b"\r\nconnection: close\r\n" in answer
    body = answer.partition(b"\r\n\r\n")[2]
    told = json.JSONDecoder().raw_decode(body.decode())[0]["error"]
    assert (told["code"], told["param"]) == ("upgrade_unsupported", "Upgrade")


JAVA = """
import java.net.URI;
import java.net.http.*;

public class Calls {
    public static void main(String[] where) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (int number = 0; number < 3; number++) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(where[0] + "/v1/chat/completions"))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString("{\\"model\\": \\"gpt-4o-mini\\"}")).build();
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body());
        }
    }
}
"""


async def java(world: World, source: Path) -> str:
    running_java = await asyncio.create_subprocess_exec(
        "java", str(source), f"http://127.0.0.1:{world.port}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        printed, _ = await running_java.communicate()
    return printed.decode()


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    source = tmp_path / "Calls.java"
    source.write_text(JAVA)
    return source


@pytest.mark.skipif(shutil.which("javac") is None, reason="needs a JDK")
async def test_javas_client_as_it_comes(calls: Path) -> None:
    """java.net.http.HttpClient offers h2c with every call on plain http."""
    async with running() as world:
        printed = await java(world, calls)
        bodies = [request.partition(b"\r\n\r\n")[2] for request in world.provider.requests]
    assert printed.splitlines() == [f"200 HTTP_1_1 {ANSWER.decode()}"] * 3
    assert bodies == [BODY] * 3
