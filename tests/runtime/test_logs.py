"""How log lines look, and how often."""

import logging
import subprocess
import sys

from runtime.logs import Seldom


def line(at: float, message: str = "Unable connect to %s", *given: object) -> logging.LogRecord:
    record = logging.LogRecord("aiokafka.client", logging.ERROR, "client.py", 1, message, given or ("node",), None)
    record.created = at
    return record


def test_what_a_library_repeats_is_said_once_in_a_while_with_its_count() -> None:
    seldom = Seldom(every_s=10)
    assert seldom.filter(line(0.5))
    assert not any(seldom.filter(line(0.5 + part / 100, "Unable connect to %s", f"node {part}")) for part in range(100))
    assert seldom.filter(line(1, "Something else %s"))
    later = line(11)
    assert seldom.filter(later)
    assert later.getMessage() == "Unable connect to node (and 100 times before)"
    again = line(30)
    assert seldom.filter(again)
    assert again.getMessage() == "Unable connect to node"


FAILING = """
import structlog
from runtime import logs
from runtime.settings import LogFormat, LogLevel
logs.configure(LogFormat.TEXT, LogLevel.INFO, role="test")
def fail(secret):
    raise RuntimeError
try:
    fail("sk-" + "secret")
except RuntimeError:
    structlog.get_logger().exception("fault")
"""


def test_a_fault_tells_no_variables() -> None:
    """A caller's key may be among them."""
    told = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, timeout=60, check=True).stderr
    assert "RuntimeError" in told
    assert "sk-secret" not in told
