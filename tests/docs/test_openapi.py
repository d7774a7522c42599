"""What the OpenAPI documents of both ports promise, held against the ports: a thousand made-up requests, and no 5xx among the answers.

Two checks are left out: a body that its schema allows may be refused all the same, since SQL and filters have grammars of their own; and
one that it does not allow may be taken, since numbers may come as text, as Helicone's API takes them.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.fakes.stack import Stack
from tests.fakes.stack import stack as running

GRAMMARS = [positive_data_acceptance, negative_data_rejection]
SOME = settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))


@schemathesis.serializer("application/x-ndjson", "application/x-protobuf")
def lines(_context: Any, value: Any) -> bytes:
    return str(value).encode()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("openapi")) as made:
        yield made


@pytest.mark.parametrize("door", ["api", "proxy"])
def test_every_endpoint_keeps_its_word(stack: Stack, door: str) -> None:
    schema = schemathesis.openapi.from_url(f"{getattr(stack, door)}/openapi.json")
    broken = []
    for operation in (found.ok() for found in schema.get_all_operations()):

        @given(case=operation.as_strategy())
        @SOME
        def keeps(case: Any) -> None:
            case.call_and_validate(excluded_checks=GRAMMARS)

        try:
            keeps()
        except FailureGroup as failures:
            broken.append(f"{operation.label}: {failures}")
    assert not broken, "\n\n".join(broken)
