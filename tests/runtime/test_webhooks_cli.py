"""`heliograph webhooks` and `heliograph alerts`, over an embedded log of their own."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runtime.cli import app
from runtime.settings import Misconfigured

HOOK = "https://app.example/hook?token=t0p"


class Typed:
    """Commands on one data directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, code: int = 0) -> str:
        found = CliRunner().invoke(app, [*words, "--data-dir", str(self.folder)])
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        assert found.exit_code == code, found.output
        return found.output

    def refused(self, *words: str) -> str:
        with pytest.raises(Misconfigured) as caught:
            self(*words)
        return str(caught.value)

    def made(self, *words: str) -> str:
        """The id of what a command made."""
        found = re.search(r"^([0-9a-f]{8}-[0-9a-f-]{27})\b", self(*words), re.MULTILINE)
        assert found is not None
        return found[1]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("HELIOGRAPH_DATA_DIR", str(tmp_path))  # and taken back: commands say it to whatever they start
    return Typed(tmp_path)


def test_a_webhook_and_an_alert_from_beginning_to_end(typed: Typed) -> None:
    assert "There is no webhook" in typed("webhooks", "list")
    printed = typed("webhooks", "add", HOOK, "--filter", "Plan=pro", "--sample-rate", "12.5", "--no-data", "--organization", "acme")
    hook, key = re.match(r"(\S+) of organization acme[^\n]*\n([0-9a-f]{64})\n$", printed).groups()  # type: ignore[union-attr]
    listed = typed("webhooks", "list")
    assert all(text in listed for text in (hook, "acme", HOOK, "12.5", "plan=pro", "no"))
    assert key not in listed
    assert "There is no webhook" in typed("webhooks", "list", "--organization", "other")

    words = ("--metric", "latency", "--aggregation", "mean", "--above", "800", "--window", "15m", "--user", "ann", "--webhook", hook)
    alert = typed.made("alerts", "add", "too slow", *words, "--organization", "acme")
    listed = typed("alerts", "list")
    assert all(text in listed for text in (alert, "acme", "too slow", "latency (mean) 800", "user ann", "0:15:00", hook))
    assert "remove the alert first" in typed.refused("webhooks", "remove", hook)
    typed("alerts", "remove", alert)
    assert "There is no alert" in typed("alerts", "list")
    typed("webhooks", "remove", hook)
    assert "There is no webhook" in typed("webhooks", "list")


def test_a_test_says_why_it_was_not_taken(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_ALLOW_PRIVATE_TARGETS", "true")
    hook = typed.made("webhooks", "add", "http://127.0.0.1:1/")
    assert "takes no connection" in typed("webhooks", "test", hook, code=1)


ALERT = ("alerts", "add", "dear", "--metric", "cost", "--above", "1", "--webhook")
WRONG: dict[str, tuple[tuple[Any, ...], str]] = {
    "http": (("webhooks", "add", "http://app.example"), "DESTINATION must begin with https"),
    "a private address": (("webhooks", "add", "https://192.168.0.1"), "DESTINATION must be a public address"),
    "more than all": (("webhooks", "add", HOOK, "--sample-rate", "101"), "--sample-rate must be 0 to 100"),
    "no pair": (("webhooks", "add", HOOK, "--filter", "pro"), "--filter 'pro': expected KEY=VALUE"),
    "no such webhook": (("webhooks", "remove", "none"), "There is no webhook 'none'"),
    "nothing to test": (("webhooks", "test", "none"), "There is no webhook 'none'"),
    "no such alert": (("alerts", "remove", "none"), "There is no alert 'none'"),
    "an alert for nobody": ((*ALERT, "none"), "--webhook is no webhook of the organization"),
    "no span": ((*ALERT, "none", "--window", "soon"), "--window 'soon': expected a number and s, m, h or d"),
    "too short": ((*ALERT, "none", "--window", "59s"), "--window must be 60 to 2592000 seconds"),
    "below nothing": (
        ("alerts", "add", "dear", "--metric", "cost", "--above", "-1", "--webhook", "none"),
        "--above must be a number from 0 on",
    ),
    "an organization without a name": (("webhooks", "add", HOOK, "--organization", " "), "--organization needs a name"),
}


@pytest.mark.parametrize(("words", "told"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(typed: Typed, words: tuple[str, ...], told: str) -> None:
    assert told in typed.refused(*words)
