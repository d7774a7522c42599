"""A program at a real pseudo terminal, as somebody who types and reads has it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

_CODES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>])")


class PseudoTerminal:
    """What was shown, without its codes; `expect` waits for more."""

    def __init__(self, fd: int, process: "subprocess.Popen[bytes]") -> None:
        self._fd, self.process = fd, process
        self._shown = ""

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, pattern: str, seconds: float = 60) -> str:
        """What is shown until `pattern` matches; the next looks behind it."""
        end = time.monotonic() + seconds
        while True:
            plain = _CODES.sub("", self._shown)
            if match := re.search(pattern, plain):
                self._shown = plain[match.end() :]
                return plain[: match.end()]
            left = end - time.monotonic()
            assert left > 0, f"{pattern!r} did not come: {plain[-2000:]!r}"
            if select.select([self._fd], [], [], left)[0]:
                try:
                    self._shown += os.read(self._fd, 65536).decode(errors="replace")
                except OSError:
                    raise AssertionError(f"it ended before {pattern!r} came: {plain[-2000:]!r}") from None

    def ended(self) -> int:
        """Its exit code, once it ends."""
        return self.process.wait(30)


@contextmanager
def at_terminal(command: Sequence[str], environment: Mapping[str, str], *, rows: int = 40, columns: int = 120) -> Iterator[PseudoTerminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def lead() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = subprocess.Popen(command, env=dict(environment), preexec_fn=lead, **streams)  # noqa: PLW1509 - it must lead its terminal
    os.close(theirs)
    try:
        yield PseudoTerminal(ours, process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)
