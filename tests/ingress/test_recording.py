"""Ids, and what a request says about its call."""

import time
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


FORM = (
    b'--b1\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--b1\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'
    b'--b1\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\n\xff\xfbSOUND\r\n--b1--\r\n'
)

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
    "a form": (FORM, Asked("whisper-1", True)),
    "a form of another spelling": (
        FORM.replace(b"Content-Disposition", b"content-disposition").replace(b"true", b"True"),
        Asked("whisper-1", True),
    ),
    "a form that is cut in its model": (FORM[:62], Asked()),
    "a form without a model": (FORM.replace(b'"model"', b'"models"'), Asked(None, True)),
    "a form with a type for each field": (FORM.replace(b'"model"', b'"model"\r\nContent-Type: text/plain'), Asked("whisper-1", True)),
    "a file that speaks of a model": (FORM.replace(b'"model"', b'"x"').replace(b"SOUND", b'name="model"\r\n\r\nm\r\n'), Asked(None, True)),
    "deep": (b'{"model": "m", "x": ' + b"[" * 100_000, Asked("m")),
}


@pytest.mark.parametrize(("body", "asked"), BODIES.values(), ids=BODIES)
def test_asked(body: bytes, asked: Asked) -> None:
    assert asked_of(body) == asked


def test_a_form_of_nothing_but_field_names_is_read_quickly() -> None:
    hostile = b"--" + b"\r\ncontent-disposition: form-data; name=model" * 22_000
    began = time.perf_counter()
    assert asked_of(hostile) == Asked()
    assert time.perf_counter() - began < 2
