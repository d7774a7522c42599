"""Ids, and what a request says about its call."""

from uuid import UUID

import pytest

from ingress.recording import Asked, CallIds, asked_of

NOW = 1_795_000_000.123


def test_ids_are_version_7_sort_by_time_and_never_repeat() -> None:
    ids = CallIds()
    drawn = [ids.draw(NOW + number / 100) for number in range(5000)]
    parsed = [UUID(each) for each in drawn]
    assert {(each.version, each.variant) for each in parsed} == {(7, "specified in RFC 4122")}
    assert len(set(drawn)) == 5000
    assert drawn == sorted(drawn)
    assert parsed[0].int >> 80 == int(NOW * 1000)


def test_two_processes_draw_different_ids() -> None:
    assert CallIds().draw(NOW) != CallIds().draw(NOW)


BODIES = {
    "chat": (b'{"model": "gpt-4o", "stream": true, "user": "u"}', Asked("gpt-4o", True, "u")),
    "white space first": (b' \r\n\t{"model": "m"}', Asked("m")),
    "other types": (b'{"model": 5, "stream": "true", "user": {"id": 1}}', Asked()),
    "no object": (b"[1]", Asked()),
    "nothing": (b"", Asked()),
    "no JSON": (b"model=gpt", Asked()),
    "a stream that is not asked for": (b'{"model": "m", "stream": false}', Asked("m")),
    "an empty user": (b'{"user": ""}', Asked()),
    "cut off": (b'{"model": "gpt-\\u0034o", "stream" : true, "messages": [{"role": "us', Asked("gpt-4o", True)),
    "not UTF-8": (b'{"model": "m", "x": "\xff"}', Asked("m")),
    "deep": (b'{"model": "m", "x": ' + b"[" * 100_000, Asked("m")),
}


@pytest.mark.parametrize(("body", "asked"), BODIES.values(), ids=BODIES)
def test_asked(body: bytes, asked: Asked) -> None:
    assert asked_of(body) == asked
