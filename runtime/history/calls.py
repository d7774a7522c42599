"""The made-up calls of one span of time, as columns of numbers in order of time. Pure: all chance comes from `rng`."""

import numpy as np
from msgspec import Struct, structs

from runtime.history.answers import Talk, models_for, talk
from runtime.history.arrow import Flags, Floats, Ints
from runtime.history.caching import references
from runtime.history.cast import FEATURES, REPLACED, REPLACEMENT
from runtime.history.groups import Groups, grouped, within_groups
from runtime.history.outcomes import ASKED, COMPLETED, FALLS_BACK, Endings, endings
from runtime.history.people import People, drawn
from runtime.history.plot import Plot
from runtime.history.rhythm import Span, at_shares, microseconds

PAUSES: Floats = np.array([feature.pause_s * 1000 for feature in FEATURES])


class Calls(Struct):
    """One entry for each call in each array."""

    groups: Groups
    at: Ints
    """When it began, in microseconds since 1970."""
    user: Ints
    asked: Ints
    """The model that was asked for first; of a fallback another answered: `model`."""
    model: Ints
    talk: Talk
    ends: Endings
    reference: Ints
    """The earlier call whose answer it got from the cache; below 0 for none."""

    @property
    def hit(self) -> Flags:
        return self.reference >= 0

    @property
    def completed(self) -> Flags:
        done: Flags = self.ends.ending == COMPLETED
        return done


def calls_of(span: Span, plot: Plot, people: People, rng: np.random.Generator) -> Calls:
    groups = grouped(span.calls, rng)
    at = _times(groups, span, rng)
    order = np.argsort(at, kind="stable")
    user = drawn(people, span.calls, rng)[groups.group][order]
    groups, at = structs.replace(groups, **{name: getattr(groups, name)[order] for name in groups.__struct_fields__}), at[order]
    asked = models_for(groups.feature, rng)
    asked = np.where((asked == REPLACED) & plot.replaced(at, rng), REPLACEMENT, asked)
    said = talk(groups, asked, rng)
    ends, model = endings(groups, asked, said.stream, plot.during_incident(at), rng)
    fallen = model != asked
    if fallen.any():  # another model has other words for it
        said = _where(fallen, talk(groups, model, rng), said)
    return _with_hits(Calls(groups, at, user, asked, model, said, ends, at * 0 - 1), rng)


def _times(groups: Groups, span: Span, rng: np.random.Generator) -> Ints:
    """Calls of a session follow on each other, within the span."""
    first, last = microseconds(span.begin), microseconds(span.end)
    gaps = rng.gamma(1.6, PAUSES[groups.feature] / 1.6) + rng.gamma(2.0, 1500.0, len(groups.group))
    offsets = (within_groups(gaps, groups.group) * 1000).astype(np.int64)
    begins = at_shares(span.begin, span.end, rng.random(len(groups.group)))[groups.group]
    longest = np.zeros(len(groups.group), np.int64)
    np.maximum.at(longest, groups.group, offsets)
    longest = longest[groups.group]
    room = max(last - first - 1, 1)
    offsets = np.where(longest > room, (offsets * (room / np.maximum(longest, 1))).astype(np.int64), offsets)
    times: Ints = np.maximum(np.minimum(begins, last - 1 - np.minimum(longest, room)) + offsets, first)
    return times


def _where(chosen: Flags, these: Talk, those: Talk) -> Talk:
    merged = {name: np.where(chosen, getattr(these, name), getattr(those, name)) for name in those.__struct_fields__}
    return structs.replace(those, **(merged | {"stream": those.stream}))


def _with_hits(calls: Calls, rng: np.random.Generator) -> Calls:
    """What the cache answers ends well, without a try, and says what the earlier call heard."""
    alone = ~calls.groups.in_session & ~FALLS_BACK[calls.groups.feature]
    kept = alone & calls.completed
    reference = references(calls.groups.feature, kept, alone & ASKED[calls.ends.ending], rng)
    hit, source = reference >= 0, np.maximum(reference, 0)
    repeated = structs.replace(calls.talk, **{name: getattr(calls.talk, name)[source] for name in calls.talk.__struct_fields__})
    ends = calls.ends
    return structs.replace(
        calls,
        reference=reference,
        asked=np.where(hit, calls.asked[source], calls.asked),
        model=np.where(hit, calls.model[source], calls.model),
        talk=structs.replace(_where(hit, repeated, calls.talk), stream=np.where(hit, calls.talk.stream[source], calls.talk.stream)),
        ends=structs.replace(
            ends,
            ending=np.where(hit, COMPLETED, ends.ending),
            attempts=np.where(hit, 0, ends.attempts),
            several=ends.several & ~hit,
        ),
    )
