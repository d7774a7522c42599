"""The shell's line at a terminal: editing, history on disk, completion, what is paged."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from runtime.sql_statements import is_blank, split
from runtime.sql_words import Vocabulary


class Terminal:
    """Where somebody types."""

    def __init__(self, vocabulary: Vocabulary, folder: Path) -> None:
        """`folder`: where the history is kept, of nobody else to read."""
        self._session: PromptSession[str] = PromptSession(
            history=history_in(folder),
            completer=_Completer(vocabulary),
            complete_while_typing=True,
            lexer=PygmentsLexer(SqlLexer),
            multiline=True,
            prompt_continuation=lambda width, line, wrapped: "... ".rjust(width),
            key_bindings=_keys(),
            enable_history_search=False,
        )

    def read(self) -> str:
        """A statement, or a command of the shell. Raises EOFError at Ctrl-D, KeyboardInterrupt at Ctrl-C."""
        return self._session.prompt("heliograph> ")


def history_in(folder: Path) -> History:
    """On disk, mode 600; only for as long as the shell where no file can be kept."""
    path = folder / "sql_history"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        path.chmod(0o600)
    except OSError as error:
        sys.stderr.write(f"heliograph: {path}: {error.strerror}; what you type is not remembered.\n")
        return InMemoryHistory()
    return FileHistory(str(path))


def state_folder() -> Path:
    """By the XDG base directories."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "heliograph"


def is_ready(text: str) -> bool:
    """Whether Enter ends it: a command, nothing at all, or statements of which the last has its semicolon."""
    return text.lstrip().startswith((".", "\\")) or not text.strip() or (bool(split(text).statements) and is_blank(split(text).rest))


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=Condition(lambda: True))
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if (buffer.document.is_cursor_at_the_end and is_ready(buffer.text)) or (is_ready(buffer.text) and "\n" not in buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return keys


class _Completer(Completer):
    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        if document.text.lstrip().startswith((".", "\\")):
            return
        for word in self._vocabulary.words(document.text_before_cursor, document.text):
            yield Completion(word.text, -word.replaces, display_meta=word.about)


def show(text: bytes, *, paging: bool) -> None:
    """On the terminal; what is longer than it, in a pager."""
    height = shutil.get_terminal_size().lines
    if not paging or text.count(b"\n") < height or not _paged(text):
        sys.stdout.buffer.write(text)
        sys.stdout.flush()


def _paged(text: bytes) -> bool:
    """Whether a pager showed it: that of PAGER, else `less`."""
    command = shlex.split(os.environ.get("PAGER") or "less")
    environment = {"LESS": "-SRFX", "LESSCHARSET": "utf-8"} | os.environ
    try:
        pager = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)  # noqa: S603 - what the user names
    except (OSError, IndexError):
        return False
    while True:
        try:
            pager.communicate(text)
            return True
        except KeyboardInterrupt:  # the pager's own to obey
            text = b""
        except BrokenPipeError:
            return True
