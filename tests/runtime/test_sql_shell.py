"""`heliograph sql`, driven as people drive it: at a real pseudo terminal, and through a pipe."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from runtime.sql_statements import Split, is_blank, pointed, split
from runtime.sql_terminal import is_ready
from runtime.sql_words import Vocabulary
from storage.forkserver import TITLE
from tests.fakes.pseudo_terminal import PseudoTerminal, at_terminal
from tests.fakes.small_lake import SmallLake, calls

DEAF = "SELECT levenshtein(repeat('a', 1_000_000), repeat('b', 1_000_000));"
SHELL = [sys.executable, "-m", "runtime.cli", "sql"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    SmallLake(made / "lake").add("calls", *calls(3, properties={"feature": "chat"}))
    return made


def environment(folder: Path) -> dict[str, str]:
    own = {"XDG_STATE_HOME": str(folder / "state"), "PAGER": "cat", "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    return kept | own


@contextmanager
def typing(folder: Path, **more: str) -> Iterator[PseudoTerminal]:
    with at_terminal([*SHELL, "--data-dir", str(folder)], environment(folder) | more) as terminal:
        terminal.expect("heliograph>")
        yield terminal


def until_busy(shell: int) -> None:
    """Until the process that answers has worked on something for a while."""
    [answerer] = [each for each in psutil.Process(shell).children(recursive=True) if each.name() == TITLE]
    idle = answerer.cpu_times().user
    while answerer.cpu_times().user < idle + 0.2:
        time.sleep(0.02)


def piped(folder: Path, text: str, *options: str, **more: str) -> "subprocess.CompletedProcess[str]":
    command = [*SHELL, "--data-dir", str(folder), *options]
    return subprocess.run(command, input=text, env=environment(folder) | more, capture_output=True, text=True, timeout=60, check=False)


def test_a_conversation_at_a_terminal(folder: Path) -> None:
    with typing(folder) as terminal:
        terminal.type("SELECT count(*) AS n\r")
        terminal.type("FROM calls;\r")
        terminal.expect(r"n\s+─+\s+3\s")
        terminal.expect(r"\(1 row, \d+ ms|\(1 row, [\d.]+ s")
        terminal.type("SELECT nothing FROM calls;\r")
        terminal.expect(r"line 1: SELECT nothing FROM calls\r?\n\s+\^\r?\n.*nothing")
        terminal.type(".timing off\r.format csv\r.schema feedback\r")
        terminal.expect(r"comment\s+VARCHAR")
        terminal.type(f"{DEAF}\r")
        terminal.expect("levenshtein")
        until_busy(terminal.process.pid)
        terminal.type("\x03")
        terminal.expect("It was stopped")
        terminal.type("SELECT 40 + 2 AS answer;\r")
        terminal.expect(r"answer\r?\n42\r?\n")
        terminal.type(".quit\r")
        assert terminal.ended() == 0
    history = folder / "state" / "heliograph" / "sql_history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "FROM calls;" in history.read_text()


def test_the_history_and_the_tab_key(folder: Path) -> None:
    kept = folder / "state" / "heliograph"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "sql_history").write_text("\n# 2026-01-01 00:00:00\n+SELECT 6 * 7 AS earlier;\n")
    with typing(folder) as terminal:
        terminal.type("\x1b[A\r")
        terminal.expect(r"earlier\s+─+\s+42\s")
        terminal.type(".timing off\rSELECT count(DISTINCT outco")
        terminal.expect("outcome")  # it is offered
        terminal.type("\t) AS found FROM calls;\r")
        terminal.expect(r"found\s+─+\s+1\s")
        terminal.expect("heliograph>")  # only then is it read as a key
        terminal.type("\x04")
        assert terminal.ended() == 0


def test_what_is_longer_than_the_terminal_is_paged(folder: Path) -> None:
    with typing(folder, PAGER="sed s/^/paged:/") as terminal:
        terminal.type("SELECT range AS n FROM range(100);\r")
        terminal.expect(r"paged:\s*99")
        terminal.expect(r"\(100 rows")
        terminal.type("SELECT 5 AS short;\r")
        assert "paged" not in terminal.expect(r"short\s+─+\s+5\s")


def test_a_pipe_is_read_to_its_end(folder: Path) -> None:
    target = folder / "out.jsonl"
    script = f"""-- ;
        SELECT ';' AS a; .format jsonl
        .output {target}
        SELECT call_id FROM calls ORDER BY 1;
        .output
        .format csv
        SELECT 2 AS b"""
    done = piped(folder, script, "--format", "csv")
    assert (done.returncode, done.stdout) == (0, "a\n;\nb\n2\n"), done.stderr
    assert target.read_text() == '{"call_id":"c0"}\n{"call_id":"c1"}\n{"call_id":"c2"}\n'


def test_a_pipe_ends_at_its_first_fault(folder: Path) -> None:
    done = piped(folder, "SELECT 1 AS a;\nSELECT 1\nFROM nowhere; SELECT 2", "--format", "csv")
    assert (done.returncode, done.stdout) == (1, "a\n1\n")
    assert "line 2: FROM nowhere\n             ^\n" in done.stderr
    assert "unknown_table" in done.stderr
    assert "Traceback" not in done.stderr


def test_saved_queries(folder: Path) -> None:
    def heliograph(*words: str) -> str:
        command = [sys.executable, "-m", "runtime.cli", *words, "--data-dir", str(folder)]
        return subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=True, timeout=60).stdout

    done = piped(folder, "SELECT 7 AS seven;\n.save lucky\n.saved\n.run lucky\n", "--format", "csv")
    assert done.stdout.startswith("seven\n7\nSaved as lucky.\n"), done.stderr
    assert done.stdout.endswith("seven\n7\n")
    assert heliograph("query", "--saved", "lucky", "--format", "csv") == "seven\n7\n"
    heliograph("saved", "add", "lucky", "SELECT 8 AS eight")
    assert heliograph("saved", "show", "lucky") == "SELECT 8 AS eight\n"
    heliograph("saved", "remove", "lucky")
    assert "There are none" in heliograph("saved", "list")


SPLIT: Mapping[str, tuple[str, Split]] = {
    "two": ("SELECT 1; SELECT 2", Split(("SELECT 1",), " SELECT 2")),
    "in a string": ("SELECT ';';", Split(("SELECT ';'",), "")),
    "in one with escapes": ("SELECT e'\\';';", Split(("SELECT e'\\';'",), "")),
    "in a name": ('SELECT ";""";', Split(('SELECT ";"""',), "")),
    "in dollars": ("SELECT $a$;$$;$a$;", Split(("SELECT $a$;$$;$a$",), "")),
    "in a comment": ("SELECT 1 -- ;\n;", Split(("SELECT 1 -- ;\n",), "")),
    "in nested comments": ("/* ; /* ; */ ; */ SELECT 1;", Split(("/* ; /* ; */ ; */ SELECT 1",), "")),
    "an open string": ("SELECT 'a;", Split((), "SELECT 'a;")),
    "an open comment": ("SELECT /* ;", Split((), "SELECT /* ;")),
    "nothing": (" ; -- x\n;", Split((), "")),
}


@pytest.mark.parametrize(("text", "cut"), SPLIT.values(), ids=SPLIT)
def test_where_statements_end(text: str, cut: Split) -> None:
    assert split(text) == cut


def test_what_enter_ends() -> None:
    assert [is_ready(text) for text in ("SELECT 1;", "SELECT 1; ", ".help", "", "\\d")] == [True] * 5
    assert [is_ready(text) for text in ("SELECT 1", "SELECT ';", "SELECT 1; SELECT")] == [False] * 3
    assert is_blank("-- x\n /* y */ ;")
    assert not is_blank("'-- x'")


def test_where_a_fault_is_pointed_at() -> None:
    assert pointed("SELECT 1,\n  nothing", 12) == "line 2:   nothing\n          ^"
    assert pointed("SELECT 1", 100) == "line 1: SELECT 1\n                ^"
    far = pointed("x" * 500 + "!" + "x" * 500, 500).split("\n")
    assert far[0][far[1].index("^")] == "!"


COMPLETED: Mapping[str, tuple[str, list[str]]] = {
    "a table": ("SELECT * FROM cal", ["calls", "calls_by_hour", "calls_by_day"]),
    "a column of the table that is named": ("SELECT outco FROM calls|", ["outcome"]),
    "by an alias": ("SELECT c.sess FROM calls c|", ["session_id", "session_name", "session_path"]),
    "a key": ("SELECT properties['fe", ["feature']"]),
    "a word, as it was begun": ("sel", ["select"]),
    "a word in capitals": ("SEL", ["SELECT"]),
}


@pytest.mark.parametrize(("typed", "found"), COMPLETED.values(), ids=COMPLETED)
def test_what_is_completed(typed: str, found: list[str]) -> None:
    vocabulary = Vocabulary()
    vocabulary.learn_keys(b'{"key":"feature"}\n{"key":"it\'s"}\n')
    whole, _, _ = typed.partition("|")
    before = whole.partition(" FROM calls")[0] if "|" in typed else whole
    assert [word.text for word in vocabulary.words(before, whole)] == found


def test_functions_that_are_refused_are_not_offered() -> None:
    vocabulary = Vocabulary()
    vocabulary.learn()
    offered = {word.text for start in ("get", "quantile", "read", "current") for word in vocabulary.words(start, start)}
    assert "quantile_cont(" in offered
    assert not {"getenv(", "read_csv(", "current_setting("} & offered
