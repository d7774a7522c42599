"""The end of a process, a kill, a fork: what is sent, what is lost, and that parent and child have nothing in common."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.log_taker import LogTaker, log_taker
from tests.fakes.telling import FORK, by_epoch, process, run


@pytest.fixture
def taker() -> Iterator[LogTaker]:
    with log_taker() as made:
        yield made


def test_at_its_end_a_process_sends_what_waits(taker: LogTaker) -> None:
    assert run("log('a'); log('b')", taker.url) == ""
    assert list(by_epoch(taker).values()) == [["a", "b"]]


def test_an_exception_that_ends_it_changes_nothing(taker: LogTaker) -> None:
    with process("log('a'); raise SystemExit(3)", taker.url) as started:
        started.communicate(timeout=60)
    assert (started.returncode, list(by_epoch(taker).values())) == (3, [["a"]])


def test_without_heliograph_a_process_ends_nonetheless() -> None:
    said = run("log('a'); log('b'); logger.flush(0)\nwhile not logger._sender._away: pass", "http://127.0.0.1:9", exit_s=0.2)
    assert "takes nothing now" in said
    assert "2 dropped: the logger was closed before Heliograph took them" in said


def test_what_a_killed_process_had_not_sent_is_lost(taker: LogTaker) -> None:
    script = "log('sent'); logger.flush(); log('lost'); print('ready', flush=True); import time; time.sleep(600)"
    with process(script, taker.url) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        started.send_signal(signal.SIGKILL)
    assert list(by_epoch(taker).values()) == [["sent"]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
def test_a_fork_begins_with_nothing_of_its_parents(taker: LogTaker) -> None:
    run(FORK, taker.url)
    assert sorted(by_epoch(taker).values()) == [["before", "stream", "after"], ["child"]]


FORK_IN_AN_IMPORT = """
import threading
sys.path.insert(0, sys.argv[3])
class Lazy:
    importing = threading.Event()
    def model_dump(self, **arguments):
        self.importing.set()
        import slow_to_import
        return {}
logger.log(Lazy())
threading.Thread(target=logger.flush).start()
assert Lazy.importing.wait(30)
child = os.fork()
if child == 0:
    import signal
    signal.alarm(30)
    import slow_to_import
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
def test_a_fork_while_an_object_of_the_application_imports(taker: LogTaker, tmp_path: Path) -> None:
    """The import's lock would stay closed in the child."""
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.3)\n")
    run(FORK_IN_AN_IMPORT, taker.url, arguments=[str(tmp_path)])


FORKS_AT_WORK = """
import threading
logger = AsyncLogger(base_url=sys.argv[1], flush_every_s=0.001, exit_s=20)
stop = threading.Event()
def busy():
    while not stop.wait(0.0005):
        log('parent')
threads = [threading.Thread(target=busy) for _ in range(3)]
for thread in threads:
    thread.start()
try:
    for number in range(20):
        child = os.fork()
        if child == 0:
            log('child %d' % number)
            os._exit(0 if logger.flush(30) else 1)
        assert os.waitpid(child, 0)[1] == 0
finally:
    stop.set()
    for thread in threads:
        thread.join()
assert logger.close(30)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
def test_forks_while_threads_log_and_batches_are_on_their_way(taker: LogTaker) -> None:
    """No lock is inherited closed, and no connection is shared."""
    run(FORKS_AT_WORK, taker.url)
    epochs = by_epoch(taker)
    assert sorted(models for models in epochs.values() if models[0] != "parent") == sorted([f"child {number}"] for number in range(20))
    assert len(epochs) == 21
