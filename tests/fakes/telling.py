"""Applications that tell of calls by the Python client, as processes of their own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.log_taker import LogTaker

CLIENT = Path(__file__).parents[2] / "clients" / "python"
BEGINNING = """
import logging, os, sys
from heliograph_client import AsyncLogger
logging.basicConfig()
logger = AsyncLogger(base_url=sys.argv[1], flush_every_s=600, exit_s=float(sys.argv[2]))
def log(model):
    return logger.log({}, request={"model": model})
"""
FORK = """
log('before')
stream = logger.wrap(lambda **arguments: iter([1, 2]))(model='stream')
next(stream)
child = os.fork()
if child == 0:
    assert (logger.sent, logger.dropped) == (0, 0)
    log('child')
    del stream
    os._exit(0 if logger.flush() and logger.sent == 1 else 1)
assert os.waitpid(child, 0)[1] == 0
list(stream)
log('after')
"""


def process(
    script: str, url: str, *, exit_s: float = 20, python: str = sys.executable, arguments: Sequence[str] = ()
) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {"PYTHONPATH": str(CLIENT)}
    command = [
        python,
        "-W",
        "error",
        "-W",
        "ignore:This process:DeprecationWarning",
        "-c",
        BEGINNING + script,
        url,
        str(exit_s),
        *arguments,
    ]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(script: str, url: str, **more: object) -> str:
    """Its standard error."""
    with process(script, url, **more) as started:  # type: ignore[arg-type]
        _, said = started.communicate(timeout=60)
    assert started.returncode == 0, said
    return said


def by_epoch(taker: LogTaker) -> dict[str, list[str]]:
    """Models, by the logger that told of them. Each counts its own batches from 1."""
    found: dict[str, list[str]] = {}
    numbers: dict[str, int] = {}
    for taken in taker.batches:
        epoch, number = taken.batch.split("/")
        numbers[epoch] = numbers.get(epoch, 0) + 1
        assert int(number) == numbers[epoch]
        found.setdefault(epoch, []).extend(taken.models)
    return found
