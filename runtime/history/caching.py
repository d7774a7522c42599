"""Answers from the cache: calls that ask again what an earlier one asked. Pure, and whole columns at once."""

import numpy as np

from runtime.history.arrow import Flags, Floats, Ints
from runtime.history.cast import FEATURES

CACHED: Floats = np.array([feature.cached for feature in FEATURES])
RECENT = 400
"""A hit repeats one of so many earlier calls of its feature."""


def references(feature: Ints, may_be_kept: Flags, may_hit: Flags, rng: np.random.Generator) -> Ints:
    """Of each call, in order of time, the earlier one whose answer it gets; below 0 for those that ask the provider."""
    calls = len(feature)
    hit = may_hit & (rng.random(calls) < CACHED[feature])
    back = rng.integers(1, RECENT, calls)
    found = np.full(calls, -1, np.int64)
    for number in np.flatnonzero(CACHED):
        kept = np.flatnonzero((feature == number) & may_be_kept & ~hit)
        wanting = np.flatnonzero((feature == number) & hit)
        earlier = np.searchsorted(kept, wanting)
        some = earlier > 0
        found[wanting[some]] = kept[np.maximum(earlier - back[wanting], 0)[some]]
    return found
