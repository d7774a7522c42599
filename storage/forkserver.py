"""A process that has loaded all that an answerer needs, and forks one whenever it is asked: `python -m storage.lean storage.forkserver FD`.

The answerers of one asker share what was loaded, some forty megabytes for each, and are there in milliseconds. It has no thread of its
own when it forks: engines, whose threads a fork would lose, are opened by the answerers. It keeps those that ended until its asker has
heard how, so that no number that the asker knows is another process's. It ends when the asker is gone.
"""

import gc
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from enum import IntEnum

from storage import answerer

REQUEST = struct.Struct(">Bq")
"""An `Errand`, and the process it is about; 0 where it is not there yet."""
REPLY = struct.Struct(">q")
TITLE = "answerer"
"""What `ps` and `top` call those that were forked, where the system lets them choose."""


class Errand(IntEnum):
    """What the asker wants."""

    FORK = 1
    """Comes with two descriptors: the answerer's end of its line, and one that it holds until it ends. The reply is its process id,
    or minus the error's number."""
    REAP = 2
    """Of a process that has ended, or is about to. The reply is its exit code, as `subprocess` tells it."""


def serve(control: socket.socket) -> None:
    """Until the asker is gone. In a process that was forked it does not return."""
    while True:
        asked, given, _, _ = socket.recv_fds(control, REQUEST.size, 2, socket.MSG_WAITALL)
        if len(asked) < REQUEST.size:
            return
        errand, process = REQUEST.unpack(asked)
        control.sendall(REPLY.pack(_forked(control, given) if errand == Errand.FORK else _reaped(process)))


def _forked(control: socket.socket, given: Sequence[int]) -> int:
    line, end = given
    try:
        process = os.fork()
    except OSError as error:
        process = -(error.errno or 1)
    if process == 0:
        control.close()
        gc.enable()
        _entitle()
        answerer.run(line)
    os.close(line)
    os.close(end)
    return process


def _reaped(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _entitle() -> None:
    with suppress(OSError), open("/proc/self/comm", "w") as comm:
        comm.write(TITLE)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the asker decides
    gc.disable()
    gc.freeze()  # what is here stays, and is not written to by looking through it
    with suppress(ConnectionError):
        serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
