"""Made-up calls as rows of the lake's table `calls`, in the declared columns. Whole columns at once."""

from collections.abc import Callable
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from eventlog.events import Source
from runtime.history.answers import BEGUN, FINISHES, IS_RESPONSES
from runtime.history.arrow import Flags, Ints, dated_ids, filled_maps, maps, masked, no_maps, nothing, random_ids, words
from runtime.history.calls import Calls
from runtime.history.cast import FEATURES, MODELS, Model
from runtime.history.durations import BROKEN_OFF, Durations
from runtime.history.groups import PATHS
from runtime.history.outcomes import COMPLETED, ENDINGS, PROVIDER_ERRORS
from runtime.history.people import COMPANIES, PLANS, REGIONS, People
from runtime.history.plot import Plot
from runtime.history.rhythm import Span, microseconds
from runtime.history.tariffs import Tariff
from runtime.history.tries import tries
from runtime.history.usage import Counted, price_columns, usage_columns
from storage.schema import CALLS, COUNT, MILLISECONDS, TIME

LANGUAGES = ("German", "French", "Spanish", "Japanese", "Portuguese", "Polish")
QUEUES = ("billing", "technical", "sales", "account")
INPUTS: dict[str, tuple[str, tuple[str, ...]]] = {"translate": ("language", LANGUAGES), "classify-ticket": ("queue", QUEUES)}
ENVIRONMENTS = ("production", "staging", "development")
EXPERIMENTS = ("control", "short-answers")
VERSION_DAYS = 9
OWN_REQUEST_IDS = 0.03


class Made(Struct, frozen=True):
    """All that the rows of one span are made of."""

    span: Span
    plot: Plot
    people: People
    organization: str
    calls: Calls
    lasted: Durations
    counted: Counted
    tariffs: list[Tariff]


def rows_of(made: Made, rng: np.random.Generator) -> pa.Table:
    calls = made.calls
    told, before = tries(calls.ends, calls.model, made.lasted.head, rng)
    latency = np.minimum(made.lasted.latency(before), (microseconds(made.plot.end) - calls.at) / 1000)  # nothing ends in the future
    ids = dated_ids(calls.at // 1000, rng)
    columns = {
        **_facts(made, ids, rng),
        **_asked(calls),
        **_ended(made, rng),
        **usage_columns(calls, made.counted),
        **price_columns(calls, made.counted, made.tariffs),
        "completed_at": pa.array(calls.at + (latency * 1000).astype(np.int64), TIME),
        "latency_ms": pa.array(latency, MILLISECONDS),
        "ttft_ms": masked(np.minimum(made.lasted.ttft(before, calls), latency), made.lasted.heard, MILLISECONDS),
        "tries": told,
        "cache_reference_id": ids.take(pa.array(calls.reference, mask=~calls.hit)),
    }
    return pa.Table.from_arrays([_column(columns, field, len(ids)) for field in CALLS], schema=CALLS)


def _column(columns: dict[str, pa.Array], field: pa.Field, rows: int) -> pa.Array:
    found = columns.get(field.name)
    if found is not None:
        return found
    return no_maps(rows, field.type) if pa.types.is_map(field.type) else nothing(rows, field.type)


def _facts(made: Made, ids: pa.Array, rng: np.random.Generator) -> dict[str, pa.Array]:
    """Whose call it is, and what for."""
    calls, rows = made.calls, len(ids)
    groups = calls.groups
    in_session = groups.in_session
    sessions = random_ids(int(groups.group.max(initial=0)) + 1, rng).take(pa.array(groups.group, mask=~in_session))
    own = random_ids(rows, rng)
    return {
        "call_id": ids,
        "request_id": pc.if_else(pa.array(rng.random(rows) < OWN_REQUEST_IDS), own, ids),
        "revision": pa.array(np.zeros(rows), pa.int32()),
        "organization": words([made.organization], np.zeros(rows, np.int64)),
        "created_at": pa.array(calls.at, TIME),
        "day": pa.array([made.span.day], pa.date32()).take(pa.array(np.zeros(rows, np.int32))),
        "user_id": words(made.people.names, calls.user),
        "session_id": sessions,
        "session_name": words([feature.session for feature in FEATURES], groups.feature),
        "session_path": words(PATHS, groups.path),
        "properties": _properties(made, rng),
        "prompt_id": words([feature.prompt_id for feature in FEATURES], groups.feature),
        "prompt_version": _prompt_version(made),
        "prompt_inputs": _inputs(groups.feature, rng),
        "source": words([Source.PROXY], np.zeros(rows, np.int64)),
    }


def _prompt_version(made: Made) -> pa.Array:
    feature = made.calls.groups.feature
    has = np.array([each.prompt_id is not None for each in FEATURES])[feature]
    first = np.array([2 if each.falls_back else 0 for each in FEATURES])[feature]
    return words(["1", "2", "3", "4"], np.where(has, first + made.plot.new_prompts(made.calls.at), -1))


def _inputs(feature: Ints, rng: np.random.Generator) -> pa.Array:
    distinct = [{name: value} for name, values in INPUTS.values() for value in values]
    at, first = np.full(len(feature), -1), 0
    for name, (_, values) in INPUTS.items():
        rows = np.flatnonzero(feature == next(n for n, each in enumerate(FEATURES) if each.name == name))
        at[rows] = first + rng.integers(0, len(values), len(rows))
        first += len(values)
    return maps(distinct, at)


def _properties(made: Made, rng: np.random.Generator) -> pa.Array:
    calls, people = made.calls, made.people
    rows, user = len(calls.at), np.maximum(calls.user, 0)
    known = calls.user >= 0
    version = int((made.span.begin - made.plot.begin).days // VERSION_DAYS)
    behind = np.minimum(rng.geometric(0.75, rows) - 1, version)
    columns = {
        "feature": words([feature.name for feature in FEATURES], calls.groups.feature),
        "environment": words(ENVIRONMENTS, np.searchsorted([0.93, 0.98], rng.random(rows))),
        "app_version": words([f"2.{14 + each}.0" for each in range(version + 1)], version - behind),
        "customer": words(COMPANIES, np.where(known, people.company[user], -1)),
        "plan": words(PLANS, np.where(known, people.plan[user], -1)),
        "region": words(REGIONS, np.where(known, people.region[user], -1)),
        "experiment": words(EXPERIMENTS, np.where(calls.groups.feature == 0, user % 2, -1)),
    }
    return filled_maps(list(columns), list(columns.values()))


def _asked(calls: Calls) -> dict[str, pa.Array]:
    """Of whom, and how."""

    def told(of: Callable[[Model], str | None], streamed: Callable[[Model], str | None] | None = None) -> pa.Array:
        both = [*map(of, MODELS), *map(streamed or of, MODELS)]
        return words(both, calls.model + calls.talk.stream * len(MODELS))

    return {
        "provider": told(lambda model: model.provider),
        "dialect": told(lambda model: model.dialect),
        "method": words(["POST"], calls.model * 0),
        "path": told(lambda model: model.path, lambda model: model.streams_at),
        "target_url": told(lambda model: model.origin + model.path, lambda model: model.origin + model.streams_at),
        "request_model": words([model.asked_as for model in MODELS], calls.asked),
        "stream": pa.array(calls.talk.stream),
    }


def _ended(made: Made, rng: np.random.Generator) -> dict[str, pa.Array]:
    """What came of it."""
    calls = made.calls
    ending, rows, said = calls.ends.ending, len(calls.at), calls.talk
    answered: Flags = (ending == COMPLETED) | BROKEN_OFF[ending]
    names = [*(model.name for model in MODELS), *(model.answers_as for model in MODELS)]
    finishes = [*(word for model in MODELS for word in FINISHES[model.dialect]), BEGUN]
    begun = np.where(BROKEN_OFF[ending] & IS_RESPONSES[calls.model], len(finishes) - 1, -1)
    size = _response_bytes(calls, answered, rng)
    return {
        "model": words(names, calls.model + answered * len(MODELS)),
        "response_model": words(names, np.where(answered, calls.model + len(MODELS), -1)),
        "status": pa.array(np.array([each.status for each in ENDINGS])[ending], pa.int32()),
        "outcome": words([each.outcome for each in ENDINGS], ending),
        "rate_limited": pa.array(np.array([each.outcome == "rate_limited" for each in ENDINGS])[ending]),
        "error": _errors(calls),
        "finish_reason": words(finishes, np.where(ending == COMPLETED, calls.model * 3 + said.stop, begun)),
        "attempts": pa.array(calls.ends.attempts, pa.int32()),
        "fallback_index": masked(calls.ends.fallback, calls.ends.fallback >= 0, pa.int32()),
        "cache_hit": pa.array(calls.hit),
        "request_bytes": pa.array((said.prompt * 4.3).astype(np.int64) + 180, COUNT),
        "response_bytes": pa.array(size, COUNT),
        "truncated": pa.array(np.zeros(rows, bool)),
    }


def _errors(calls: Calls) -> pa.Array:
    hosts = [urlsplit(model.origin) for model in MODELS]
    vocabulary = [
        None
        if (told := ending.told(model.provider)) is None
        else told.replace("{host}", host.hostname or "").replace("{port}", str(host.port or 443))
        for model, host in zip(MODELS, hosts, strict=True)
        for ending in ENDINGS
    ]
    return words(vocabulary, calls.model * len(ENDINGS) + calls.ends.ending)


def _response_bytes(calls: Calls, answered: Flags, rng: np.random.Generator) -> Ints:
    """A streamed token takes as much room as forty others. The cache repeats to the byte."""
    said = calls.talk
    visible = said.completion - said.reasoning
    size = 620 + visible * np.where(said.stream, 190, 4.4) + np.where(said.completion == 0, 21_000, 0) + rng.integers(0, 90, len(visible))
    size = np.where(answered, size, np.where(PROVIDER_ERRORS[calls.ends.ending], 180, 0))
    size = np.where(BROKEN_OFF[calls.ends.ending], size * 0.4, size)
    return np.where(calls.hit, size[np.maximum(calls.reference, 0)], size).astype(np.int64)
