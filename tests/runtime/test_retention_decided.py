"""How long rows stay, as an operator says it, as an organization says it over HTTP, and as the settings do."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from eventlog.control import decide
from eventlog.keys import Auth, Scope
from runtime.deciding import opened_log
from runtime.retention_cli import app
from runtime.settings import Misconfigured, Settings
from tests.fakes.keyring import READER, key
from tests.fakes.querying import bearing, serving

Typed = Callable[..., Result]
ADMIN = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-hhhhhhh"


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("HELIOGRAPH_DATA_DIR", str(tmp_path / "data"))
    return lambda *words: CliRunner().invoke(app, list(words))


def cells(listed: Result) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in listed.stdout.splitlines() if line.startswith("│")]
    return {row[0]: row[1:] for row in rows}


def test_said_listed_and_cleared(typed: Typed) -> None:
    assert cells(typed("list")) == {"all": ["for ever", "for ever"]}
    assert "facts 365 days, bodies 30 days" in typed("set", "--facts-days", "365", "--bodies-days", "30").stdout
    assert typed("set", "--bodies-days", "1", "--organization", "acme").exit_code == 0
    assert typed("set", "--facts-days", "keep", "--bodies-days", "keep", "--organization", "archive").exit_code == 0
    assert cells(typed("list")) == {
        "all": ["365 days", "30 days"],
        "acme": ["365 days", "1 day"],
        "archive": ["for ever", "for ever"],
    }
    assert typed("clear", "--organization", "acme").exit_code == 0
    assert "acme" not in cells(typed("list"))
    assert isinstance(typed("clear", "--organization", "acme").exception, Misconfigured)


REFUSED = {
    "bodies longer": (["--facts-days", "7", "--bodies-days", "8"], "bodies would stay 8 days, and their calls 7 days"),
    "bodies for ever": (["--facts-days", "7", "--bodies-days", "keep"], "for ever"),
    "nothing said": ([], "--facts-days DAYS"),
    "no number": (["--facts-days", "a week"], "whole days from 1"),
    "none": (["--bodies-days", "0"], "`keep`"),
    "nobody": (["--facts-days", "7", "--organization", " "], "--organization"),
}


@pytest.mark.parametrize(("words", "told"), REFUSED.values(), ids=REFUSED)
def test_refused(typed: Typed, words: list[str], told: str) -> None:
    refused = typed("set", *words)
    assert isinstance(refused.exception, Misconfigured)
    assert told in str(refused.exception)


def test_settings_hold_where_nothing_was_decided(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_RETENTION__FACTS_DAYS", "90")
    assert cells(typed("list")) == {"all": ["90 days", "90 days"]}
    monkeypatch.setenv("HELIOGRAPH_RETENTION__BODIES_DAYS", "91")
    refused = typed("list")
    assert "HELIOGRAPH_RETENTION__BODIES_DAYS=91" in str(refused.exception)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with opened_log(Settings(data_dir=tmp_path)) as log:
        await decide(log, [key(ADMIN, Scope.ADMIN), key(READER, Scope.READ)])
    async with serving(tmp_path, auth=Auth.REQUIRED) as client:
        yield client


async def test_an_organization_says_it_over_http(api: httpx.AsyncClient) -> None:
    path, admin = "/v1/retention", bearing(ADMIN)
    assert (await api.get(path, headers=admin)).json()["data"] == {"facts_days": None, "bodies_days": None, "own": False}
    put = await api.put(path, headers=admin, json={"facts_days": 90, "bodies_days": 7})
    assert put.json()["data"] == {"facts_days": 90, "bodies_days": 7, "own": True}
    longer = await api.put(path, headers=admin, json={"bodies_days": 91})
    assert (longer.status_code, "bodies_days" in longer.json()["error"]) == (400, True)
    assert (await api.put(path, headers=admin, json={})).status_code == 400
    assert (await api.put(path, headers=bearing(READER), json={"facts_days": 1})).status_code == 403
    assert (await api.delete(path, headers=admin)).json()["data"]["own"] is False
