"""The commands, as typed."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from runtime.cli import app
from tests.fakes.small_lake import SmallLake, calls
from tests.fakes.stack import Stack, get
from tests.fakes.stack import stack as running


def typed(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runtime.cli", *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    with running(tmp_path_factory.mktemp("cli")) as made:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
        httpx.post(f"{made.proxy}/v1/chat/completions", json=body, headers={"authorization": "Bearer sk-test"})
        made.rows("true")
        yield made


def here(stack: Stack) -> dict[str, str]:
    return {"HELIOGRAPH_API_PORT": str(stack.api_port), "HELIOGRAPH_DATA_DIR": str(stack.data_dir), "HELIOGRAPH_PORT": str(stack.port)}


SQL = "SELECT model, count(*) AS calls FROM calls GROUP BY 1"


def test_the_files_of_a_table_are_told(stack: Stack) -> None:
    told = json.loads(get(f"{stack.api}/v1/tables/calls/files"))
    assert told["files"] == typed("lake", "files", "calls", **here(stack)).stdout.split()
    assert told["files"]


def test_a_question_in_every_format(stack: Stack, tmp_path: Path) -> None:
    assert json.loads(typed("query", SQL, "--format", "json", **here(stack)).stdout)["rows"] == [["gpt-4o-mini", 1]]
    assert typed("query", SQL, "--format", "csv", **here(stack)).stdout.split() == ["model,calls", "gpt-4o-mini,1"]
    assert "gpt-4o-mini" in typed("query", SQL, **here(stack)).stdout
    target = tmp_path / "out.parquet"
    assert typed("query", SQL, "--format", "parquet", "--output", str(target), **here(stack)).returncode == 0
    nowhere = typed("query", SQL, "--output", str(tmp_path / "missing" / "x"), **here(stack))
    assert (nowhere.returncode, "Traceback" in nowhere.stderr) == (1, False)
    assert "--output" in nowhere.stderr
    import polars  # noqa: PLC0415

    assert polars.read_parquet(target).rows() == [("gpt-4o-mini", 1)]


def test_a_question_without_a_server_asks_the_lake(stack: Stack) -> None:
    asked = typed("query", SQL, "--format", "csv", **here(stack) | {"HELIOGRAPH_API_PORT": "1"})
    assert asked.stdout.split() == ["model,calls", "gpt-4o-mini,1"]


def test_a_port_that_is_named_is_asked_or_nothing(stack: Stack) -> None:
    for command in (("query", SQL), ("dead-letters",)):
        asked = typed(*command, "--api-port", "1", **here(stack))
        assert (asked.returncode, asked.stdout) == (1, "")
        assert "Nothing listens on port 1." in asked.stderr
        assert "(unreachable)" in asked.stderr


def test_the_server_writes_a_table_of_the_width_asked_for(stack: Stack) -> None:
    question = {"sql": "SELECT * FROM calls", "format": "table", "width": 60}
    told = httpx.post(f"{stack.api}/v1/query", json=question).text
    assert told.startswith("-[ row 1 ]")
    assert max(map(len, told.splitlines())) <= 60


def test_a_data_directory_that_is_named_is_read_whatever_runs(stack: Stack, tmp_path: Path) -> None:
    SmallLake(tmp_path / "lake").add("calls", *calls(3, model="elsewhere"))
    asked = typed("query", SQL, "--format", "csv", "--data-dir", str(tmp_path), **here(stack))
    assert (asked.stdout.split(), asked.stderr) == (["model,calls", "elsewhere,3"], "")
    assert typed("lake", "files", "calls", "--data-dir", str(tmp_path), **here(stack)).stdout.count(str(tmp_path)) == 1


@pytest.mark.parametrize("command", [("query", SQL), ("lake", "files", "calls"), ("dead-letters",)])
def test_asking_makes_nothing_where_nothing_is(stack: Stack, tmp_path: Path, command: tuple[str, ...]) -> None:
    for named in ({"HELIOGRAPH_DATA_DIR": str(tmp_path / "typo")}, {}):
        arguments = command if named else (*command, "--data-dir", str(tmp_path / "typo"))
        asked = typed(*arguments, **here(stack) | {"HELIOGRAPH_API_PORT": "1"} | named)
        assert (asked.returncode, asked.stdout, "Traceback" in asked.stderr) == (2, "", False)
        assert f"There is no lake in {tmp_path}/typo/lake" in asked.stderr
        assert "--data-dir" in asked.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_demo_provider_whose_port_is_in_use_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        done = typed("demo", "provider", "--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Port {port} on 127.0.0.1 is in use" in done.stderr
    assert "--port" in done.stderr


def test_an_answer_that_is_cut_says_so(stack: Stack) -> None:
    of_lake = typed("query", "FROM range(9)", "--format", "csv", HELIOGRAPH_QUERY__ROWS="5", **here(stack) | {"HELIOGRAPH_API_PORT": "1"})
    assert (len(of_lake.stdout.split()), "first 5 rows" in of_lake.stderr) == (6, True)
    of_server = typed("query", "FROM range(100_001)", "--format", "csv", **here(stack))
    assert (len(of_server.stdout.split()), "first 100000 rows" in of_server.stderr) == (100_001, True)
    for words in ("HELIOGRAPH_QUERY__ROWS", "lake files"):
        assert words in of_server.stderr
    whole = typed("query", "FROM range(5)", "--format", "csv", HELIOGRAPH_QUERY__ROWS="5", **here(stack) | {"HELIOGRAPH_API_PORT": "1"})
    assert whole.stderr == ""


def test_the_lake_answers_in_the_shape_of_the_server(stack: Stack) -> None:
    told = [json.loads(typed("query", SQL, "--format", "json", **here(stack) | port).stdout) for port in ({}, {"HELIOGRAPH_API_PORT": "1"})]
    for each in told:
        each.pop("elapsed_ms")
    assert told[0] == told[1]


@pytest.mark.parametrize("port", [None, "1"], ids=["of the server", "of the lake"])
def test_a_bad_question_is_one_clear_line(stack: Stack, port: str | None) -> None:
    asked = typed("query", "DELETE FROM calls", **here(stack) | ({"HELIOGRAPH_API_PORT": port} if port else {}))
    assert asked.returncode == 1
    assert "not_read_only" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_an_application_runs_with_the_base_urls(stack: Stack) -> None:
    program = "import os, sys; print(os.environ['OPENAI_BASE_URL'], os.environ['ANTHROPIC_BASE_URL']); sys.exit(7)"
    done = typed("run", "--", sys.executable, "-c", program, **here(stack))
    assert done.returncode == 7
    assert done.stdout.split() == [f"{stack.proxy}/v1", stack.proxy]


def test_an_application_with_nothing_changed_makes_calls(stack: Stack) -> None:
    program = (
        "import openai, anthropic; m=[{'role': 'user', 'content': 'hi'}];"
        "openai.OpenAI(api_key='x').chat.completions.create(model='gpt-4o', messages=m);"
        "anthropic.Anthropic(api_key='x').messages.create(model='claude-3-5-haiku-latest', max_tokens=9, messages=m)"
    )
    assert typed("run", "--", sys.executable, "-c", program, **here(stack)).returncode == 0
    stack.rows("model = 'gpt-4o'")
    stack.rows("model = 'claude-3-5-haiku-latest'")


def test_a_command_that_is_none(stack: Stack) -> None:
    done = typed("run", "--", "no-such-program-at-all", **here(stack))
    assert (done.returncode, "no such command" in done.stderr) == (127, True)


def test_the_files_of_a_table(stack: Stack) -> None:
    files = typed("lake", "files", "calls", **here(stack)).stdout.split()
    assert files
    assert all(Path(file).exists() for file in files)
    assert "there are calls" in typed("lake", "files", "nothing", **here(stack)).stderr


def test_settings_are_shown_with_their_origin() -> None:
    shown = json.loads(typed("settings", "--format", "json", HELIOGRAPH_PORT="1234").stdout)
    assert shown["HELIOGRAPH_PORT"] == {"value": "1234", "origin": "environment"}
    assert shown["HELIOGRAPH_API_PORT"] == {"value": "8585", "origin": "default"}
    assert "HELIOGRAPH_DURABILITY" in typed("settings").stdout


def test_a_wrong_setting_is_one_clear_line() -> None:
    done = typed("settings", HELIOGRAPH_PORT="x")
    assert done.returncode == 2
    assert done.stderr.startswith("heliograph: HELIOGRAPH_PORT")
    assert "Traceback" not in done.stderr


def test_help_and_version() -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["--version"]).output.strip() == "0.1.0"
    for words in ([], ["up"], ["query"], ["demo"], ["demo", "provider"]):
        assert "Usage" in runner.invoke(app, [*words, "--help"]).output
