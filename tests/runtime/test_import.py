"""`heliograph import` into a running Heliograph: the rows are what the export says, once; hostile lines are told and left."""

import gzip
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from typer.testing import CliRunner

from runtime.cli import app
from runtime.settings import Misconfigured
from storage.refusal import Refused
from tests.fakes.helicone_export import CALLS, NO_CACHE, call, uuid
from tests.fakes.stack import COMMAND, Stack
from tests.fakes.stack import stack as running


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("importing")) as made:
        yield made


@pytest.fixture(scope="module")
def imported(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The thirty calls, brought in, as our own API tells them: by their request ids."""
    file = tmp_path_factory.mktemp("export") / "helicone.jsonl"
    file.write_text("\n".join(map(json.dumps, CALLS)))
    command = [*COMMAND, "import", str(file)]
    environment = stack.environment() | {"HELIOGRAPH_API_PORT": str(stack.api_port)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "30 calls read, 30 brought in, 4 of them without a body that the export has not, 0 rejected" in done.stdout
    return told_by(stack)


class Done(NamedTuple):
    """What a command came to."""

    code: int
    stdout: str
    stderr: str


def importing(stack: Stack, *arguments: str, data: bytes | None = None) -> Done:
    url = [] if "--url" in arguments else ["--url", stack.api]
    found = CliRunner().invoke(app, ["import", *arguments, *url], input=data)
    match found.exception:
        case Misconfigured() as error:
            return Done(2, found.stdout, str(error))
        case Refused() as error:
            return Done(1, found.stdout, error.refusal.message)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exc_info
    return Done(found.exit_code, found.stdout, found.stderr)


def told_by(stack: Stack, key: str = "none") -> dict[str, dict[str, Any]]:
    asked = {"filter": "all", "limit": 1000, "includeInputs": True, "sort": {"created_at": "asc"}}
    answer = httpx.post(f"{stack.api}/v1/request/query", json=asked, headers={"authorization": f"Bearer {key}"}, timeout=30)
    assert answer.status_code == 201, answer.text
    return {each["request_id"]: each for each in answer.json()["data"]}


def of(imported: dict[str, dict[str, Any]], number: int) -> dict[str, Any]:
    return imported[uuid(f"request {number}")]


def test_each_is_there_with_its_own_figures(imported: dict[str, dict[str, Any]]) -> None:
    assert len(imported) == len(CALLS)
    for number, said in enumerate(CALLS):
        told = of(imported, number)
        assert (told["request_user_id"] or "") == said["request_user_id"], number
        assert told["delay_ms"] == said["delay_ms"], number
        assert told["time_to_first_token"] == said["time_to_first_token"], number
        assert told["response_status"] == (said["response_status"] if number != 27 else None), number
        if said["cost"] is not None and said["cache_reference_id"] == NO_CACHE:
            assert told["cost"] == said["cost"], number
        assert (told["provider"], told["model_override"]) == (said["provider"], said["model_override"]), number


def test_times_are_those_of_then(imported: dict[str, dict[str, Any]]) -> None:
    first = of(imported, 0)
    assert (first["request_created_at"], first["response_created_at"]) == ("2025-03-01T10:00:00.000000Z", "2025-03-01T10:00:01.000000Z")
    assert of(imported, 25)["request_created_at"].startswith("2025-03-02T11:00:00.123")


def test_bodies_are_those_of_then(imported: dict[str, dict[str, Any]]) -> None:
    for number in (0, 9, 15, 16, 17, 26, 28, 29):
        for side in ("request_body", "response_body"):
            assert of(imported, number)[side] == CALLS[number][side], number
    assert of(imported, 8)["response_body"] == "upstream broke"
    for number in (14, 19):
        assert list(of(imported, number)["request_body"]) == ["helicone_message"]


def test_judgements_sessions_prompts_and_properties(imported: dict[str, dict[str, Any]]) -> None:
    rated = of(imported, 1)
    assert (rated["feedback_rating"], rated["scores"]) == (True, {"accuracy": 90, "sound": 1, "helicone-score-feedback": 1})
    assert of(imported, 2)["feedback_rating"] is False
    assert of(imported, 3)["properties"] == {
        "Helicone-Session-Id": "trip-1",
        "Helicone-Session-Name": "Trip",
        "Helicone-Session-Path": "/plan/hotel",
        "team": "Blau & Grün",
    }
    assert (of(imported, 4)["prompt_id"], of(imported, 4)["prompt_version"], of(imported, 5)["prompt_id"]) == (
        "greeting",
        "3",
        "old-greeting",
    )
    assert of(imported, 24)["properties"] == {"number": "7", "flag": "true", "gross": "x"}


def test_tokens_are_told_by_answers_and_else_as_stated(imported: dict[str, dict[str, Any]]) -> None:
    kinds = ("prompt_tokens", "completion_tokens", "prompt_cache_read_tokens", "prompt_cache_write_tokens", "reasoning_tokens")
    assert [of(imported, 0)[kind] for kind in kinds[:2]] == [10, 0]
    assert [of(imported, 9)[kind] for kind in kinds[:4]] == [170, 5, 100, 50]
    assert [of(imported, 10)[kind] for kind in kinds] == [50, 17, 30, None, 7]
    assert [of(imported, 19)[kind] for kind in kinds[:2]] == [29, 19]


def test_what_a_cache_answered_cost_nothing(imported: dict[str, dict[str, Any]]) -> None:
    hit = of(imported, 11)
    assert (hit["cost"], hit["cache_enabled"], hit["cache_reference_id"]) == (0, True, uuid("request 1"))


def test_sessions_and_spend_are_asked_for_as_usual(stack: Stack, imported: dict[str, dict[str, Any]]) -> None:
    assert imported
    (row,) = stack.query("SELECT session_name, session_path, price_basis, source FROM calls WHERE session_id = 'trip-1'")
    assert row == {"session_name": "Trip", "session_path": "/plan/hotel", "price_basis": "stated", "source": "async_log"}


def test_a_second_time_brings_nothing(stack: Stack, imported: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "again.json.gz").write_bytes(gzip.compress(json.dumps(CALLS).encode()))
    counts = "SELECT (SELECT count(*) FROM calls) AS calls, (SELECT count(*) FROM feedback) AS feedback"
    before = stack.query(counts)
    done = importing(stack, str(tmp_path / "again.json.gz"))
    assert (done.code, "30 calls read, 0 brought in, 30 there already, 0 rejected" in done.stdout) == (0, True), done
    assert stack.query(counts) == before
    assert told_by(stack).keys() == imported.keys()


def test_what_our_own_api_answers_gives_the_same_rows(
    imported: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into another Heliograph, with keys, and twice."""
    page = json.dumps({"data": list(imported.values()), "error": None, "cursor": None})
    with running(tmp_path_factory.mktemp("another")) as other:
        assert importing(other, "-", data=page.encode()).code == 0
        found = told_by(other)
        for request_id, told in imported.items():
            assert _lasting(found[request_id]) == _lasting(told)
        again = json.dumps({"data": list(found.values())}).encode()
        monkeypatch.setenv("HELIOGRAPH_API_KEY", made_key(other, "write", then=403))
        assert "it needs the scope `read`" in importing(other, "-", data=again).stderr
        mine = made_key(other, "write", "read", then=200)
        monkeypatch.setenv("HELIOGRAPH_API_KEY", mine)
        assert "30 brought in, 4 of them" in importing(other, "-", data=again).stdout
        assert "0 brought in, 30 there already" in importing(other, "-", data=again).stdout
        assert len(told_by(other, mine)) == 30


def made_key(stack: Stack, *scopes: str, then: int) -> str:
    """A key of acme's, once a question with it is answered so."""
    command = [*COMMAND, "keys", "create", "mover", "--organization", "acme", *(f"--scope={each}" for each in scopes)]
    environment = stack.environment() | {"HELIOGRAPH_DATA_DIR": str(stack.data_dir)}
    text = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        asked = {"json": {"sql": "SELECT 1"}, "headers": {"authorization": f"Bearer {text}"}}
        if httpx.post(f"{stack.api}/v1/query", **asked).status_code == then:
            return text
        time.sleep(0.1)
    raise AssertionError(f"the key does not come into effect:\n{stack.log('up')[-3000:]}")


def _lasting(told: dict[str, Any]) -> dict[str, Any]:
    """What does not tell where it is kept, or when it was written down."""
    own = ("signed_body_url", "updated_at", "feedback_id", "feedback_created_at")
    return {name: value for name, value in told.items() if name not in own}


def test_calls_of_ours_with_one_request_id_stay_several(stack: Stack, tmp_path: Path) -> None:
    """As a retrying SDK makes them."""
    named = {"helicone-request-id": uuid("retried"), "authorization": "Bearer sk-x"}
    for text in ("one", "two"):
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
        assert httpx.post(f"{stack.proxy}/v1/chat/completions", json=body, headers=named, timeout=20).status_code == 200
    stack.rows(f"request_id = '{uuid('retried')}'", count=2)
    asked = {"filter": {"request_response_rmt": {"request_id": {"equals": uuid("retried")}}}}
    ours = httpx.post(f"{stack.api}/v1/request/query", json=asked).json()["data"]
    assert "0 brought in, 2 there already" in importing(stack, "-", data=json.dumps(ours).encode()).stdout
    moved = [each | {"request_id": uuid("moved")} for each in ours]
    assert "2 brought in, 0 rejected" in importing(stack, "-", data=json.dumps(moved).encode()).stdout
    rows = stack.rows(f"request_id = '{uuid('moved')}'", count=2)
    assert len({row["call_id"] for row in rows}) == 2


def test_hostile_lines_are_told_and_the_rest_comes(stack: Stack, tmp_path: Path) -> None:
    good = [call(100 + at, request_id=uuid(f"good {at}")) for at in range(2)]
    lines = [
        json.dumps(good[0]),
        "{",
        json.dumps(call(1, request_id="nobody")),
        json.dumps(call(1, request_id=uuid("future"), request_created_at="2099-01-01T00:00:00Z")),
        json.dumps(call(1, request_id=uuid("negative"), cost=-1)),
        json.dumps(call(1, request_id=uuid("many"), properties={f"p{at}": "x" * 100 for at in range(1000)})),
        json.dumps(call(1, request_id=uuid("long"), request_body={"text": "x" * (11 << 20)})),
        "",
        json.dumps(good[1]),
    ]
    (tmp_path / "hostile.jsonl").write_text("\n".join(lines))
    done = importing(stack, str(tmp_path / "hostile.jsonl"), "--rejects", str(tmp_path / "rejects.jsonl"))
    assert (done.code, "8 calls read, 2 brought in, 6 rejected" in done.stdout) == (3, True), done
    rejects = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert {each["line"]: each["reason"].split(" ")[0] for each in rejects} == {
        2: "it",
        3: "request_id:",
        4: "timing.startTime",
        5: "providerResponse.cost",
        6: "providerRequest.meta",
        7: "Payload",
    }
    dry = importing(stack, str(tmp_path / "hostile.jsonl"), "--dry-run", "--url", "http://127.0.0.1:1")
    assert (dry.code, "2 would be brought in, 6 rejected" in dry.stdout) == (3, True), dry
    assert dry.stderr.count("line ") == 6


def test_it_goes_on_from_a_line_and_says_up_to_which_all_is_there(stack: Stack, tmp_path: Path) -> None:
    lines = [json.dumps(call(200 + at, request_id=uuid(f"part {at}"))) for at in range(3)]
    (tmp_path / "cut.json").write_text("[" + ",".join(lines[:2]) + ",{")
    done = importing(stack, str(tmp_path / "cut.json"))
    assert done.code == 1
    assert "ends, at element 3" in done.stderr
    assert "All up to line 2 is durable (2 calls read, 2 brought in" in done.stderr
    assert "--from-line 3" in done.stderr
    (tmp_path / "whole").write_text("\n".join(lines))
    assert "1 calls read, 1 brought in" in importing(stack, str(tmp_path / "whole"), "--from-line", "3").stdout


MISUSED = {
    "no such file": (["nowhere.jsonl"], "nowhere.jsonl: No such file"),
    "lines of several files": (["a", "b", "--from-line", "2"], "--from-line is about one file"),
    "nobody there": (["-", "--url", "http://127.0.0.1:1"], "Nothing listens at http://127.0.0.1:1"),
    "no URL": (["-", "--url", "localhost"], "--url localhost"),
}


@pytest.mark.parametrize(("arguments", "told"), MISUSED.values(), ids=MISUSED)
def test_what_was_typed_wrong_is_one_line(stack: Stack, arguments: list[str], told: str) -> None:
    done = importing(stack, *arguments, data=b"")
    assert done.code in {1, 2}
    assert told in done.stderr


def test_the_proxy_port_is_not_where_it_goes(stack: Stack) -> None:
    done = importing(stack, "-", "--url", stack.proxy, data=b"")
    assert (done.code, "this is a proxy port" in done.stderr) == (2, True)
