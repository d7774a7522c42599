"""What is redacted, as an operator says it, sees it, tries it and takes it away."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from runtime.redaction_cli import app
from runtime.settings import Misconfigured

Typed = Callable[..., Result]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("HELIOGRAPH_DATA_DIR", str(tmp_path / "data"))
    return lambda *words, said=None: CliRunner().invoke(app, list(words), input=said)


def test_a_rules_life(typed: Typed) -> None:
    assert "Nothing is redacted" in typed("list").stdout
    first = typed("set", "--detect", "email", "--detect", "card", "--detect", "email", "--organization", "acme")
    assert first.stdout == "Redacted for acme from now on: email, card.\n"
    assert typed("set", "--pattern", "employee=EMP-[0-9]+", "--detect", "phone").exit_code == 0
    listed = typed("list").stdout
    assert "email, card" in listed
    assert "employee=EMP-[0-9]+" in listed
    typed("set", "--detect", "phone", "--organization", "acme")
    assert "email" not in typed("list").stdout  # the newest is the whole rule
    assert typed("remove", "--organization", "acme").exit_code == 0
    assert "acme" not in typed("list").stdout
    again = typed("remove", "--organization", "acme")
    assert isinstance(again.exception, Misconfigured)
    assert "redaction list" in str(again.exception)


def test_a_rule_is_tried_before_it_is_set(typed: Typed) -> None:
    body = '{"a": "bob@x.com, EMP-7 and EMP-8"}\n'
    tried = typed("try", "--detect", "email", "--pattern", "employee=EMP-[0-9]+", said=body)
    assert tried.stdout == '{"a": "[redacted:email], [redacted:employee] and [redacted:employee]"}\n'
    assert tried.stderr == "email 1, employee 2\n"
    assert "Nothing is redacted" in typed("list").stdout
    assert typed("try", "--detect", "card", said=body).stderr == "nothing found\n"


def test_the_rule_that_is_set_is_tried(typed: Typed) -> None:
    typed("set", "--detect", "email", "--organization", "acme")
    assert typed("try", "--organization", "acme", said="bob@x.com").stdout == "[redacted:email]"


REFUSED = {
    "nothing": (("set",), "Say what is redacted"),
    "no name": (("set", "--pattern", "EMP-[0-9]+"), "NAME=REGEX"),
    "look-around": (("set", "--pattern", "a=(?=x)"), "RE2"),
    "what matches nothing": (("set", "--pattern", "a=x*"), "at least one character"),
    "a name twice": (("set", "--pattern", "a=x", "--pattern", "a=y"), "there twice"),
    "no organization": (("set", "--detect", "email", "--organization", " "), "--organization"),
    "both rules": (("try", "--detect", "email", "--organization", "acme"), "leave out"),
    "nobody's": (("try", "--organization", "nobody"), "Nothing is redacted for nobody"),
}


@pytest.mark.parametrize(("words", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(typed: Typed, words: tuple[str, ...], why: str) -> None:
    refused = typed(*words, said="x")
    assert isinstance(refused.exception, Misconfigured)
    assert why in str(refused.exception)
    assert "Nothing is redacted" in typed("list").stdout


def test_an_unknown_detector_is_refused_with_those_there_are(typed: Typed) -> None:
    refused = typed("set", "--detect", "iban")
    assert refused.exit_code == 2
    assert "provider-keys" in refused.stderr
