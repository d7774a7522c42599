"""One Heliograph for all the tests of this folder: they tell their calls apart by a property."""

from collections.abc import Iterator

import pytest

from tests.fakes.stack import Stack
from tests.fakes.stack import stack as running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    limits = {"HELIOGRAPH_LIMITS__FIRST_BYTE_S": "3", "HELIOGRAPH_LIMITS__IDLE_S": "2"}
    with running(tmp_path_factory.mktemp("stack"), **limits) as made:
        yield made
