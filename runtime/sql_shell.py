"""`heliograph sql`: questions and commands, one after another, at a terminal or from a pipe."""

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from rich.console import Console

from runtime.asking import Conversation, Wish, told_of_cut
from runtime.outlet import Outlet
from runtime.query_port import Cancelled
from runtime.saved import SavedQueries
from runtime.settings import Misconfigured, Settings
from runtime.sql_commands import Quit, Shown, run
from runtime.sql_statements import is_blank, pointed, split
from runtime.sql_terminal import Terminal, show, state_folder
from runtime.sql_words import Vocabulary
from storage.asked import Told
from storage.formats import BINARY, Format
from storage.refusal import Refusal, Refused
from storage.whose import EVERY

KEYS = """
SELECT DISTINCT unnest(map_keys(properties)) AS key
FROM (SELECT properties FROM calls WHERE created_at > now() - INTERVAL 7 DAY LIMIT 5000) ORDER BY key LIMIT 500"""
"""Of properties that were sent lately; what is found fast."""


def shell(chosen: Settings, *, organization: str, form: Format, here: bool, there: bool) -> int:
    """Until the end of what is typed, or piped. The exit code."""
    whose = "" if organization in {"", EVERY} else organization
    saved = SavedQueries(chosen, organization=whose, here=here, there=there)
    made = Shell(Conversation(chosen), saved, Wish(sql="", form=form, organization=organization, here=here, there=there))
    try:
        return made.at_terminal() if sys.stdin.isatty() and sys.stdout.isatty() else made.of(sys.stdin.read())
    finally:
        made.close()


class Shell:
    """What was said stays: the format, the file, whether times are told."""

    def __init__(self, conversation: Conversation, saved: SavedQueries, wish: Wish) -> None:
        self._conversation, self._wish = conversation, wish
        self.state = Shown(form=wish.form)
        self.saved = saved
        self.last = ""
        """The statement that was asked last."""
        self._terminal = False
        self._vocabulary = Vocabulary()
        self._asking = threading.Lock()

    def at_terminal(self) -> int:
        self._terminal = True
        threading.Thread(target=self._learn, daemon=True).start()
        line = Terminal(self._vocabulary, state_folder())
        sys.stdout.write("Statements end with ; and .help says what else there is. Ctrl-C stops a question, Ctrl-D ends.\n")
        while True:
            try:
                self._obey(line.read())
            except KeyboardInterrupt:
                continue
            except (EOFError, Quit):
                return 0

    def of(self, text: str) -> int:
        """Statements and commands of a pipe or file, until the first that fails."""
        try:
            while text.strip():
                text = text.lstrip()
                if text.startswith((".", "\\")):
                    line, _, text = text.partition("\n")
                    good = self._command(line)
                else:
                    statement, text = _first(text)
                    good = is_blank(statement) or self.ask(statement)
                if not good:
                    return 1
        except (Quit, KeyboardInterrupt):
            pass
        return 0

    def close(self) -> None:
        self._conversation.close()

    def ask(self, sql: str) -> bool:
        """Asks, and shows what is answered, or what is wrong. Whether it was answered."""
        self.last = sql.strip()
        started = time.perf_counter()
        out = Outlet(self.state.output) if self.state.output else _Held(self._terminal and self.state.paging)
        if self.state.form in BINARY and self.state.output is None:
            return self._wrong(f"{self.state.form.value.capitalize()} goes into a file only: .output FILE")
        try:
            told = self._answered(sql, out.write)
            out.end(line=True)
        except Refused as refused:
            return self._refused(refused.refusal, sql)
        except Misconfigured as error:
            return self._wrong(str(error))
        except (Cancelled, KeyboardInterrupt):
            self._conversation.cancel()
            return self._wrong("It was stopped.")
        except OSError as error:
            return self._wrong(f".output {self.state.output}: {error.strerror}. Choose a file that can be written.")
        finally:
            out.close()
        self._tell(told, time.perf_counter() - started)
        return True

    def _obey(self, typed: str) -> None:
        if typed.lstrip().startswith((".", "\\")):
            self._command(typed.strip())
            return
        found = split(typed)
        for statement in found.statements:
            if not self.ask(statement):
                return

    def _command(self, line: str) -> bool:
        try:
            return run(self, line)
        except Refused as refused:
            return self._refused(refused.refusal, "")
        except Misconfigured as error:
            return self._wrong(str(error))

    def _answered(self, sql: str, take: Callable[[bytes], object]) -> Told:
        """In a thread, so that Ctrl-C is heard at once. Raises Cancelled for it."""
        width = Console().width if self._terminal and self.state.output is None else None
        wish = Wish(sql=sql, form=self.state.form, width=width, **self._same())
        outcome: Future[Told] = Future()

        def work() -> None:
            try:
                with self._asking:
                    outcome.set_result(self._conversation.ask(wish, take))
            except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
                outcome.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        while True:  # a thread that is joined would count as ended after Ctrl-C (Python 3.11)
            try:
                return outcome.result()
            except KeyboardInterrupt:
                self._conversation.cancel()

    def _same(self) -> dict[str, Any]:
        return {"organization": self._wish.organization, "here": self._wish.here, "there": self._wish.there}

    def _learn(self) -> None:
        """What is completed; a shell without it is one all the same."""
        with suppress(Exception):
            self._vocabulary.learn()
            pieces: list[bytes] = []
            with self._asking:
                self._conversation.ask(Wish(sql=KEYS, form=Format.JSONL, **self._same()), pieces.append)
            self._vocabulary.learn_keys(b"".join(pieces))

    def _tell(self, told: Told, seconds: float) -> None:
        if told.truncated:
            sys.stderr.write(f"heliograph: {told_of_cut(told)}\n")
        if self.state.timing is False or (self.state.timing is None and not self._terminal):
            return
        rows = "" if told.rows is None else "1 row, " if told.rows == 1 else f"{told.rows} rows, "
        sys.stderr.write(f"({rows}{_lasted(seconds)})\n")

    def _refused(self, refusal: Refusal, sql: str) -> bool:
        where = f"{pointed(sql, refusal.position)}\n" if sql and refusal.position is not None else ""
        sys.stderr.write(f"{where}{refusal.message}\n{refusal.fix} ({refusal.code})\n")
        return False

    def _wrong(self, message: str) -> bool:
        sys.stderr.write(f"{message}\n")
        return False


class _Held:
    """An answer for a terminal, which is shown once it is whole; or passed on at once where nothing is paged."""

    def __init__(self, paging: bool) -> None:
        self._held: list[bytes] | None = [] if paging else None
        self._out = Outlet(None)

    def write(self, piece: bytes) -> None:
        if self._held is None:
            self._out.write(piece)
        else:
            self._held.append(piece)

    def end(self, *, line: bool) -> None:
        if self._held is None:
            self._out.end(line=line)
            return
        text = b"".join(self._held)
        show(text if text.endswith(b"\n") or not text else text + b"\n", paging=True)

    def close(self) -> None:
        """Nothing was opened."""


def _first(text: str) -> tuple[str, str]:
    """The first statement, its semicolon left away, and what follows it."""
    found = split(text)
    if not found.statements:
        return text, ""
    return found.statements[0], text[text.index(found.statements[0]) + len(found.statements[0]) + 1 :]


def _lasted(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
