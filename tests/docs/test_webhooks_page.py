"""What docs/webhooks.md shows is true: its receiver takes what we send and nothing else, and what it says to type is taken."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
import typer

from eventlog.alerts import AlertState
from processors.webhooks.deliveries import Lost
from processors.webhooks.messages import CallTold, Sides, Told, alert_message, call_message, headers_of
from runtime.cli import app
from runtime.settings import variables
from runtime.webhook_routes import AlertSaid, WebhookSaid
from tests.fakes.facts import priced
from tests.fakes.hooks import LONG_AGO, alert, webhook
from tests.fakes.stack import free_port

TEXT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def receiver() -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    [code] = blocks("python")
    port = free_port()
    env = os.environ | {"PORT": str(port), "WEBHOOK_KEY": webhook().hmac_key}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    yield f"http://127.0.0.1:{port}/", process
    process.kill()
    process.communicate()


def test_its_receiver_takes_what_is_signed_once(receiver: tuple[str, "subprocess.Popen[str]"]) -> None:
    url, process = receiver
    body = call_message(CallTold.of(priced(1)), Sides("asked", "answered"), None)
    headers = {name.decode(): value.decode() for name, value in headers_of(webhook(), body, key="call-000001.w1", told=Told.CALL)}
    with requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=requests.adapters.Retry(connect=20, backoff_factor=0.05)))
        statuses = [session.post(url, data=sent, headers=headers, timeout=20).status_code for sent in (b"{}", body, body)]
    assert statuses == [401, 204, 204]
    process.terminate()
    told, _ = process.communicate(timeout=20)
    assert told.splitlines() == [f"call {json.loads(body)}"]


def test_its_messages_have_the_fields_of_ours() -> None:
    call, told = (json.loads(block) for block in blocks("json"))
    made: Any = json.loads(call_message(CallTold.of(priced(1, user_id="ann")), Sides("a", "b"), "https://here"))
    assert (call.keys(), call["metadata"].keys()) == (made.keys(), made["metadata"].keys())
    assert told.keys() == json.loads(alert_message(alert(), AlertState(id="a1", on=True, since=LONG_AGO))).keys()


def test_its_requests_are_taken() -> None:
    bodies = []
    for block in blocks("sh"):
        words = shlex.split(block.replace("\\\n", " "), comments=True)
        bodies += [word for flag, word in pairwise(words) if flag == "-d"]
    WebhookSaid.model_validate_json(bodies[0])
    AlertSaid.model_validate_json(bodies[1])
    assert len(bodies) == 2


def test_its_commands_and_options_exist() -> None:
    lines = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines() if line.startswith("heliograph")]
    assert len(lines) == 8
    for line in lines:
        command: Any = typer.main.get_command(app)
        for word in line[1:3]:
            command = command.get_command(None, word)
        known = {option for each in command.params for option in each.opts}
        assert {word for word in line if word.startswith("--")} <= known, line


def test_its_reasons_are_all_there_are() -> None:
    assert set(re.findall(r"^\| `(webhook_\w+)`", TEXT, re.MULTILINE)) == {each.value for each in Lost}


def test_its_defaults_are_the_settings() -> None:
    defaults = {name: default for name, default, _ in variables()}
    said = re.findall(r"`(HELIOGRAPH_WEBHOOKS__\w+)` \(([\d,]+)?", TEXT)
    assert {name for name, _ in said} == {name for name in defaults if name.startswith("HELIOGRAPH_WEBHOOKS__")}
    for name, number in said:
        assert not number or int(number.replace(",", "")) == defaults[name], name
