"""One Heliograph for all the tests of this folder: they tell their calls apart by a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import node
from tests.fakes.stack import Stack
from tests.fakes.stack import stack as running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`heliograph-client` for Node, as it would be published."""
    return node.packed(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="session")
def sdks(archive: Path) -> Path:
    """A folder where openai, @anthropic-ai/sdk, @helicone/helpers and our own packed client are installed."""
    folder = node.installed(node.PUBLISHED / "sdks")
    node.unpacked(archive, folder)
    return folder
