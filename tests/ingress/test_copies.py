"""The law of copies: one byte at a time equals all at once, and never more than the limit is kept."""

import asyncio
import base64
import gzip
import itertools
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from functools import partial

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.events import Body
from ingress.copies import BOMB, TAIL, Copy, Kept, body_of
from ingress.relay import HEAVY, Relay

Encode = Callable[[bytes], bytes]


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


ENCODINGS: dict[str, Encode] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
QUICK: dict[str, Encode] = {"br": partial(brotli.compress, quality=5)}
"""Where there is much to encode."""


def copied(pieces: Iterable[bytes], encoding: str | None = None, *, limit: int = 1 << 20) -> Body:
    copy = Copy(limit, encoding)
    for piece in pieces:
        copy.feed(piece)
    copy.end()
    return copy.body("text/plain")


def sliced(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


CUTS = st.lists(st.integers(0, 1 << 20), max_size=8)


@given(st.binary(max_size=300), CUTS, st.integers(1, 200))
def test_any_slicing_is_the_same(data: bytes, cuts: list[int], limit: int) -> None:
    assert copied(sliced(data, cuts), limit=limit) == copied([data] if data else [], limit=limit)


@pytest.mark.parametrize("size", [3 * TAIL, 4 * TAIL, 4 * TAIL + 1, 4 * TAIL + 9, 5 * TAIL - 1, 5 * TAIL, 5 * TAIL + 1, 9 * TAIL])
@pytest.mark.parametrize("step", [TAIL, 4 * TAIL - 1, 1 << 30])
def test_a_piece_that_is_much_larger_than_what_is_kept(size: int, step: int) -> None:
    data = random.Random(size).randbytes(size).hex().encode()[:size]
    limit = 4 * TAIL
    body = copied([data[place : place + step] for place in range(0, size, step)], limit=limit)
    assert (body.size, body.truncated) == (size, size > limit)
    if size > limit:
        assert (body.text, body.tail) == (data[: limit - TAIL].decode(), data[max(limit - TAIL, size - TAIL) :].decode())


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.binary(max_size=3000), cuts=CUTS)
@settings(max_examples=40)
def test_any_slicing_of_encoded_bytes_is_the_same(encoding: str, data: bytes, cuts: list[int]) -> None:
    encoded = ENCODINGS[encoding](data)
    body = copied(sliced(encoded, cuts), encoding)
    assert body.undecodable is None
    assert (body.text or "").encode() == data or body.base64 == base64.b64encode(data).decode()
    assert body.size == len(encoded)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(noise=st.binary(min_size=1, max_size=60), place=st.integers(0, 200), cuts=CUTS)
@settings(max_examples=40)
def test_damage_never_raises_and_loses_nothing(encoding: str, noise: bytes, place: int, cuts: list[int]) -> None:
    encoded = bytearray(ENCODINGS[encoding](b"hello world, " * 30))
    place %= len(encoded)
    encoded[place : place + len(noise)] = noise
    body = copied(sliced(bytes(encoded), cuts), encoding)
    assert body == copied([bytes(encoded)], encoding)
    if body.undecodable is not None:
        assert base64.b64decode(body.base64 or "") == bytes(encoded)


def test_bare_deflate_gzip_members_and_frames_in_a_row() -> None:
    assert copied([raw_deflate(b"hello")], "deflate").text == "hello"
    assert copied([gzip.compress(b"one ") + gzip.compress(b"two") + b"\0" * 7], "gzip").text == "one two"
    assert copied([zstandard.compress(b"one ") + zstandard.compress(b"two")], "zstd").text == "one two"


def test_encodings_on_top_of_each_other() -> None:
    assert copied([brotli.compress(gzip.compress(b"hello"))], "gzip, br").text == "hello"
    assert copied([b"hello"], "identity").text == "hello"


@pytest.mark.parametrize("encoding", ["compress", "gzip, gzip, gzip", "aes128gcm"])
def test_what_nobody_can_undo_stays_as_it_was_sent(encoding: str) -> None:
    body = copied([b"\x01\x02\x03"], encoding)
    assert body.base64 == base64.b64encode(b"\x01\x02\x03").decode()
    assert body.undecodable
    assert body.text is None


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_an_encoded_stream_that_stops_early_keeps_what_came(encoding: str) -> None:
    numbers = random.Random(0)
    text = b"".join(b"%d " % numbers.randrange(10**9) for _ in range(200_000))
    encoded = QUICK.get(encoding, ENCODINGS[encoding])(text)
    body = copied([encoded[: len(encoded) // 2]], encoding)
    assert body.undecodable is None
    assert body.text
    assert text.decode().startswith(body.text)


def zstd_runs(blocks: int, window_log: int) -> bytes:
    """A frame that says nothing but: 128 KiB of the same byte again. RFC 8878, sections 3.1.1.1.2 and 3.1.1.2."""
    run = [((128 << 10) << 3 | 1 << 1 | (number == blocks - 1)).to_bytes(3, "little") + b"a" for number in range(blocks)]
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(window_log - 10) << 3]) + b"".join(run)


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip": ("gzip", lambda: gzip.compress(b"a" * (200 << 20))),
    "gzip in gzip": ("gzip, gzip", lambda: gzip.compress(gzip.compress(b"a" * (200 << 20)))),
    "deflate": ("deflate", lambda: zlib.compress(b"a" * (200 << 20))),
    "br": ("br", lambda: brotli.compress(b"a" * (200 << 20), quality=5)),
    "zstd": ("zstd", lambda: zstandard.compress(b"a" * (200 << 20))),
    "zstd of runs": ("zstd", lambda: zstd_runs(4_000, window_log=23)),
}


@pytest.mark.parametrize(("encoding", "bomb"), BOMBS.values(), ids=BOMBS)
def test_bombs_are_defused(encoding: str, bomb: Callable[[], bytes]) -> None:
    limit, encoded = 4 << 20, bomb()
    tracemalloc.start()
    body = copied([encoded], encoding, limit=limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * limit + (16 << 20)
    assert body.undecodable is None
    assert body.truncated
    assert len(body.text or "") <= limit


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(cuts=CUTS, size=st.integers(0, 3 * BOMB * 1_000))
@settings(max_examples=40)
def test_any_slicing_of_a_bomb_is_the_same(encoding: str, cuts: list[int], size: int) -> None:
    encoded = ENCODINGS[encoding](b"0123456789" * (size // 10))
    assert copied(sliced(encoded, cuts), encoding, limit=1_000) == copied([encoded], encoding, limit=1_000)


SMALL_BOMBS = {
    "zstd": (zstd_runs(900, window_log=23), "zstd"),
    "br": (brotli.compress(b"a" * (120 << 20), quality=5), "br"),
    "gzip in gzip": (gzip.compress(gzip.compress(b"a" * (120 << 20))), "gzip, gzip"),
}


@pytest.mark.parametrize(("bomb", "encoding"), SMALL_BOMBS.values(), ids=SMALL_BOMBS)
async def test_a_bomb_of_few_bytes_leaves_the_event_loop_to_others(bomb: bytes, encoding: str) -> None:
    loop = asyncio.get_running_loop()
    relay, copy = Relay(loop, stalled_s=1), Copy(8 << 20, encoding)
    others: list[int] = []
    loop.call_soon(others.append, copy.size)
    assert len(bomb) < HEAVY
    await relay.keep(copy, bomb)
    assert others
    assert copy.truncated


async def test_small_pieces_are_decoded_at_once() -> None:
    loop = asyncio.get_running_loop()
    relay, copy = Relay(loop, stalled_s=1), Copy(8 << 20, "zstd")
    others: list[int] = []
    loop.call_soon(others.append, copy.size)
    await relay.keep(copy, zstandard.compress(b'{"model": "gpt-4o"}' * 100))
    assert not others  # no thread was asked: it would cost more than the decoding
    assert copy.head == b'{"model": "gpt-4o"}' * 100


def test_a_zstd_window_beyond_what_http_allows_is_not_made_room_for() -> None:
    assert copied([zstd_runs(1, window_log=23)], "zstd").undecodable is None
    encoded = zstd_runs(1, window_log=24)
    for pieces in ([encoded], [bytes([byte]) for byte in encoded]):
        body = copied(pieces, "zstd")
        assert "window" in (body.undecodable or "")
        assert base64.b64decode(body.base64 or "") == encoded


def test_gzipped_usage_beyond_the_limit_is_in_the_tail() -> None:
    text = b"x" * 300_000 + b"\n[DONE] usage=7"
    body = copied([gzip.compress(text)], "gzip", limit=100_000)
    assert body.truncated
    assert (body.tail or "").endswith("usage=7")


@given(st.lists(st.binary(max_size=40_000), max_size=12), st.integers(1, 300_000))
@settings(max_examples=50)
def test_head_and_tail(pieces: list[bytes], limit: int) -> None:
    kept, data = Kept(limit), b"".join(pieces)
    for piece in pieces:
        kept.feed(piece)
    assert kept.size == len(data)
    assert kept.truncated == (len(data) > limit)
    if not kept.truncated:
        assert kept.head == data
        return
    assert data.startswith(bytes(kept.head))
    assert data.endswith(kept.tail)
    assert len(kept.head) <= limit
    assert len(kept.tail) == min(TAIL, len(data) - len(kept.head))


def test_a_megabyte_byte_by_byte_is_kept_in_a_megabyte() -> None:
    kept = Kept(2 << 20)
    for number in range(1 << 20):
        kept.feed(bytes([number & 255]))
    assert kept.size == len(kept.head) == 1 << 20


TEXTS = {
    "text": (b"hello", "hello", None),
    "nothing": (b"", None, None),
    "another script": ("käse €".encode(), "käse €", None),
    "half a character at the end": (b"ab\xe2\x82", None, base64.b64encode(b"ab\xe2\x82").decode()),
    "no text": (b"\xff\xfe\x00", None, base64.b64encode(b"\xff\xfe\x00").decode()),
    "NUL": (b"a\0b", "a\0b", None),
}


@pytest.mark.parametrize(("data", "text", "coded"), TEXTS.values(), ids=TEXTS)
def test_text_or_base64(data: bytes, text: str | None, coded: str | None) -> None:
    assert body_of(data, None) == Body(text=text, base64=coded, size=len(data))
    assert copied([data] if data else []) == Body(text=text, base64=coded, size=len(data), content_type="text/plain")


def test_head_and_tail_of_text_are_cut_between_characters() -> None:
    body = copied([("€" * 100_000).encode()], limit=100_000)
    assert set(body.text or "") == set(body.tail or "") == {"€"}


def test_a_body_that_broke_off_within_a_character_is_text() -> None:
    copy = Copy(1000)
    copy.feed("käse €".encode()[:-1])
    assert copy.body(None, broken_off=True).text == "käse "
    assert copy.body(None).base64
