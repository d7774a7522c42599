"""The metrics of this process, or of all that share a directory (PROMETHEUS_MULTIPROC_DIR)."""

import os
from collections.abc import Iterator, Mapping

from msgspec import Struct
from prometheus_client import REGISTRY, CollectorRegistry, multiprocess


class Sample(Struct, frozen=True):
    """One number."""

    name: str
    labels: Mapping[str, str]
    value: float


def registry() -> CollectorRegistry:
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    made = CollectorRegistry()
    multiprocess.MultiProcessCollector(made)  # type: ignore[no-untyped-call]
    return made


def shared() -> bool:
    """Whether they are those of other processes, too."""
    return bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))


def samples() -> Iterator[Sample]:
    """Ours. Blocks: reads files where processes share them."""
    for metric in registry().collect():
        if metric.name.startswith("heliograph_"):
            yield from (Sample(each.name, each.labels, each.value) for each in metric.samples)
