import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.events import Organization, RequestId
from eventlog.topics import TOPICS, partition_of

# Fixed for ever: events of one request that lie on two partitions would never meet.
PARTITION_OF = [
    ("default", "a", (0, 3, 11)),
    ("default", "order-17", (0, 1, 9)),
    ("acme", "order-17", (0, 3, 11)),
    ("acme", "", (0, 0, 4)),
    ("größe", "日本", (0, 0, 0)),
    ("a", "b\0c", (0, 0, 0)),
    ("default", "019ab3f4-7c11-7cc3-98c4-dc0c0c07398f", (0, 0, 4)),
]


@pytest.mark.parametrize(("organization", "request_id", "expected"), PARTITION_OF)
def test_the_partition_of_a_request(organization: str, request_id: str, expected: tuple[int, int, int]) -> None:
    assert tuple(partition_of(Organization(organization), RequestId(request_id), count) for count in (1, 4, 12)) == expected


@given(st.text(), st.text(), st.integers(1, 64))
def test_every_request_has_a_partition(organization: str, request_id: str, partitions: int) -> None:
    assert 0 <= partition_of(Organization(organization), RequestId(request_id), partitions) < partitions


def test_partitions_are_used_evenly() -> None:
    counts = [0] * 8
    for n in range(8000):
        counts[partition_of(Organization("default"), RequestId(f"request-{n}"), 8)] += 1
    assert min(counts) > 800


def test_topic_names_end_in_their_version() -> None:
    assert all(re.fullmatch(r"[a-z]+\.[a-z-]+\.v\d+", name) for name in TOPICS)
