"""What all tests share: a part of the machine that a test needs and that is missing is named, with the remedy; in CI it is a failure."""

import os
import shutil
from collections.abc import Iterator

import httpx
import hypothesis
import pytest

from runtime.local_kafka import missing_part
from tests.fakes import chromium, kafka, node, redis
from tests.fakes.redis import RedisServer

OWN_BROKER = "a broker of one's own"
"""One that a test may stop, pause and kill, whatever else is there."""

REMEDIES = {
    "curl": "install curl",
    "java": "install a Java runtime of version 17 or newer, and Maven",
    "openssl": "install openssl",
}
"""Programs that some tests use, and how to get them. `@pytest.mark.needs("curl")` says that a test does."""

hypothesis.settings.register_profile("any machine", deadline=None, max_examples=50)  # a busy one is slow, and nothing is wrong
hypothesis.settings.load_profile("any machine")
httpx._config.DEFAULT_TIMEOUT_CONFIG.read = httpx._config.DEFAULT_TIMEOUT_CONFIG.connect = 60.0
"""In the place of 5 s, wherever a test names no other: as above."""

CI = os.environ.get("CI", "").lower() == "true"
_left_out = pytest.StashKey[dict[str, set[str]]]()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Kafka."""
    with kafka.any_broker(tmp_path_factory.mktemp("kafka")) as address:
        yield address


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests, each with a prefix of its own."""
    if (remedy := redis.missing()) is not None:
        pytest.skip(remedy)  # the mark tells of it before
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(part): the test uses a program that a machine may lack")
    config.stash[_left_out] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        part = mark.args[0]
        if (remedy := _remedy(part)) is not None:
            item.config.stash[_left_out].setdefault(f"{part} ({remedy})", set()).add(item.nodeid)
            if CI:
                pytest.fail(f"{part} is missing: {remedy}")
            pytest.skip(f"{part} is missing: {remedy}")


def _remedy(part: str) -> str | None:
    """How to get a part that is missing; None when it is there."""
    if part == "kafka":
        return kafka.missing()
    if part == "redis":
        return redis.missing()
    if part == "chromium":
        return chromium.missing()
    if part == "node":
        return node.missing()
    if part == OWN_BROKER:
        return missing_part()
    return REMEDIES[part] if shutil.which(part) is None else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for a broker, or for a Redis, needs one."""
    for item in items:
        for fixture, part in (("broker", "kafka"), ("redis_server", "redis")):
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.needs(part))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for part, tests in sorted(config.stash[_left_out].items()):
        terminalreporter.section(f"left out without {part}")
        for name in sorted(tests):
            terminalreporter.write_line(name)
