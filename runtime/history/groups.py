"""Which calls belong together: sessions, their sizes and their places in the tree of work. Pure, and whole columns at once."""

import numpy as np
from msgspec import Struct

from runtime.history.arrow import Flags, Floats, Ints
from runtime.history.cast import FEATURES, LONGEST_SESSION, SHORTEST_SESSION

SHARES: Floats = np.array([feature.share for feature in FEATURES])
IN_SESSIONS: Flags = np.array([feature.session is not None for feature in FEATURES])
SIZES: Floats = np.array([feature.size for feature in FEATURES])
MOST_PATHS = max(len(feature.paths) for feature in FEATURES)
PATHS = tuple(dict.fromkeys(path for feature in FEATURES for path in feature.paths))
PATH_COUNTS: Ints = np.array([len(feature.paths) for feature in FEATURES])
PATH_NUMBERS: Ints = np.array([[PATHS.index(p) for p in f.paths] + [-1] * (MOST_PATHS - len(f.paths)) for f in FEATURES])


class Groups(Struct):
    """For each call: its group (a session, or itself alone), its place in it, and what it is for."""

    group: Ints
    place: Ints
    size: Ints
    feature: Ints
    path: Ints
    """Of `PATHS`; below 0 outside of sessions."""

    @property
    def in_session(self) -> Flags:
        return self.path >= 0


def grouped(calls: int, rng: np.random.Generator) -> Groups:
    """So many calls. Those of a group follow on each other."""
    feature, size = _groups(calls, rng)
    group = np.repeat(np.arange(len(size)), size)
    begins = np.cumsum(size) - size
    place = np.arange(calls) - begins[group]
    own = feature[group]
    return Groups(group, place, size[group], own, _paths(own, place, size[group], rng))


def _groups(calls: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """What each group is for, and its size: sessions first, and the rest alone."""
    together = SHARES * IN_SESSIONS
    wanted = int(calls * together.sum())
    chances = np.divide(together, SIZES, out=np.zeros_like(together), where=SIZES > 0)
    sessions = rng.choice(len(FEATURES), wanted // SHORTEST_SESSION, p=chances / chances.sum())
    sizes = np.clip(np.rint(rng.gamma(2.2, SIZES[sessions] / 2.2)), SHORTEST_SESSION, LONGEST_SESSION).astype(np.int64)
    fit = int(np.searchsorted(np.cumsum(sizes), wanted, side="right"))
    alone = calls - int(sizes[:fit].sum())
    single = SHARES * ~IN_SESSIONS
    rest = rng.choice(len(FEATURES), alone, p=single / single.sum())
    return np.concatenate([sessions[:fit], rest]), np.concatenate([sizes[:fit], np.ones(alone, np.int64)])


def _paths(feature: Ints, place: Ints, size: Ints, rng: np.random.Generator) -> Ints:
    """From the root to the last of the work, back and forth between."""
    last = np.maximum(PATH_COUNTS[feature] - 1, 0)
    along = place / np.maximum(size - 1, 1) * last
    between = np.clip(np.rint(along + rng.normal(0, 0.9, len(place))), np.minimum(1, last), np.maximum(last - 1, 0))
    step = np.where(place == 0, 0, np.where(place == size - 1, last, between)).astype(np.int64)
    return PATH_NUMBERS[feature, step]


def within_groups(values: Floats, group: Ints) -> Floats:
    """Of each call, the sum of what comes before it in its group."""
    before = np.cumsum(values) - values
    first = np.flatnonzero(np.diff(group, prepend=-1))
    return before - before[first][group]
