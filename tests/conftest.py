"""What all tests share: a part of the machine that a test needs and that is missing is named, with the remedy; in CI it is a failure."""

import os
import shutil

import pytest

REMEDIES = {
    "curl": "install curl",
    "openssl": "install openssl",
}
"""Programs that some tests use, and how to get them. `@pytest.mark.needs("curl")` says that a test does."""

CI = os.environ.get("CI", "").lower() == "true"
_left_out = pytest.StashKey[dict[str, set[str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(part): the test uses a program that a machine may lack")
    config.stash[_left_out] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        part = mark.args[0]
        if shutil.which(part) is None:
            item.config.stash[_left_out].setdefault(part, set()).add(item.nodeid)
            if CI:
                pytest.fail(f"{part} is missing: {REMEDIES[part]}")
            pytest.skip(f"{part} is missing: {REMEDIES[part]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for part, tests in sorted(config.stash[_left_out].items()):
        terminalreporter.section(f"left out without {part} ({REMEDIES[part]})")
        for name in sorted(tests):
            terminalreporter.write_line(name)
