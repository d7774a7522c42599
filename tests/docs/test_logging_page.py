"""What docs/logging.md shows is true: its example is taken, its table names the fields that are read."""

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import msgspec

from eventlog.events import Organization
from ingress.async_log import parse_log
from ingress.async_log_events import events_of
from ingress.async_log_routes import EXAMPLE
from ingress.directives import parse_directives
from ingress.recording import CallIds

TEXT = (Path(__file__).parents[2] / "docs" / "logging.md").read_text()
(COMMAND,) = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_its_example_is_a_call() -> None:
    words = shlex.split(COMMAND.replace("\\\n", " "))
    headers = [word.partition(": ") for flag, word in pairwise(words) if flag == "-H"]
    raw = [(name.lower().encode(), value.encode()) for name, _, value in headers]
    logged = parse_log(words[words.index("-d") + 1].encode(), raw, 1_800_000_000)
    directives = parse_directives([pair for pair in logged.headers if pair[0].startswith(b"helicone-")])
    call_id = CallIds().draw(logged.times.began)
    _, completed = events_of(logged, directives, organization=Organization("acme"), call_id=call_id, provider="openai", body_limit=9_999)
    assert (completed.call.user_id, completed.call.session_id, completed.call.properties) == ("user-123", "trip-7", {"plan": "pro"})
    assert (completed.latency_ms, completed.ttft_ms, completed.call.model) == (1250, 120, "gpt-4o-mini")
    assert words[2].endswith("/oai/v1/log")


def test_the_example_of_the_openapi_page_is_a_call() -> None:
    assert parse_log(json.dumps(EXAMPLE).encode(), [], 1_800_000_000).status == 200


def test_its_table_names_the_fields() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", TEXT.split("## The body")[1], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    read = {"provider"}
    for part, fields in {"providerRequest": "url json meta", "providerResponse": "json textBody status headers cost"}.items():
        read |= {f"{part}.{name}" for name in fields.split()}
    read |= {f"stated.{name}" for name in "once latencyMs usage inputs requestText cacheReferenceId".split()}
    parts = {"prompt", "completion", "cacheRead", "cacheWrite", "audioInput", "reasoning", "audioOutput"}
    assert named - parts == read | {"timing.startTime", "timing.endTime", "timing.timeToFirstToken"}


def test_an_error_of_ours_has_the_shape_that_it_shows() -> None:
    (shown,) = re.findall(r'`(\{"error": .*?\})`', TEXT)
    assert msgspec.json.decode(shown)["field"] == "timing.endTime"
