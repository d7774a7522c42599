"""A whole made-up history, one span of time after the other. All chance comes from the seed, by the span: the same seed, the same rows."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
from msgspec import Struct

from processors.pricing.rates import RateBook
from runtime.history.asides import amendments_of, letters_of
from runtime.history.bodies import with_bodies
from runtime.history.calls import calls_of
from runtime.history.cast import MODELS
from runtime.history.durations import durations
from runtime.history.judgements import feedback_of
from runtime.history.people import people
from runtime.history.plot import Plot
from runtime.history.rhythm import Span, spans
from runtime.history.rows import Made, rows_of
from runtime.history.tariffs import tariff_of
from runtime.history.usage import counted


class Wanted(Struct, frozen=True, kw_only=True):
    """The history that is asked for."""

    calls: int
    begin: datetime
    end: datetime
    """Aware times."""
    organization: str
    seed: int
    bodies: int = 0
    """Of the newest calls so many have their bodies."""
    after: int = 0
    """Rows that the lake has already: what is added to it is another history."""


class Part(Struct, frozen=True):
    """What is committed at once."""

    span: Span
    tables: dict[str, pa.Table]
    """By the lake's name."""


def history(wanted: Wanted, book: RateBook) -> Iterator[Part]:
    plot = Plot(wanted.begin, wanted.end)
    whole = _chance(wanted, 0)
    everybody = people(wanted.calls, whole)
    later = wanted.calls
    for span in spans(wanted.begin, wanted.end, wanted.calls, whole):
        rng = _chance(wanted, 1 + span.number)
        calls = calls_of(span, plot, everybody, rng)
        tariffs = [tariff_of(book, model, span.begin) for model in MODELS]
        lasted = durations(calls, plot, rng)
        made = Made(span, plot, everybody, wanted.organization, calls, lasted, counted(calls, rng), tariffs)
        later -= span.calls
        newest = min(span.calls, max(wanted.bodies - later, 0))
        yield Part(span, _tables(made, newest, book, rng))


def _tables(made: Made, newest: int, book: RateBook, rng: np.random.Generator) -> dict[str, pa.Table]:
    """`newest`: so many calls have bodies. Calls come last: whoever sees one finds what belongs to it."""
    calls = rows_of(made, rng)
    tables = {"feedback": feedback_of(made, calls, rng)}
    if newest:
        tables["bodies"], calls = with_bodies(made, calls, newest, book, rng)
    return tables | {"amendments": amendments_of(made, calls, rng), "dead_letters": letters_of(made, rng), "calls": calls}


def _chance(wanted: Wanted, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([wanted.seed, wanted.after, number])))
