"""Each time that a provider was asked, of the calls that were allowed several. Whole columns at once."""

import numpy as np
import pyarrow as pa

from runtime.history.arrow import Floats, Ints, words
from runtime.history.cast import ANTHROPIC, MODELS
from runtime.history.outcomes import ENDINGS, Endings
from storage.schema import TRIES

ORIGINS = tuple(dict.fromkeys(model.origin for model in MODELS))
ORIGIN_OF: Ints = np.array([ORIGINS.index(model.origin) for model in MODELS])
UNLUCKY_ORIGIN = ORIGINS.index(ANTHROPIC)
FAILED_MS, BACKOFF_MS = 260.0, 500.0
FAILURES = tuple(
    None if (told := ending.told("")) is None or not told.startswith("upstream_") else told.partition(":")[0] for ending in ENDINGS
)
ANSWERED = np.array([failure is None or ending.status == 200 for failure, ending in zip(FAILURES, ENDINGS, strict=True)])
STATUSES: Ints = np.array([ending.status or 0 for ending in ENDINGS])


def tries(found: Endings, model: Ints, head_ms: Floats, rng: np.random.Generator) -> tuple[pa.Array, Floats]:
    """The column, and how many milliseconds went by before the last try of each call. `head_ms`: until the head of the last answer."""
    counts = np.where(found.several, found.attempts, 0)
    row = np.repeat(np.arange(len(counts)), counts)
    attempt = np.arange(len(row)) - (np.cumsum(counts) - counts)[row]
    last = attempt == counts[row] - 1
    took = np.where(last, head_ms[row], rng.gamma(2.0, FAILED_MS / 2, len(row)))
    waits = np.where(last, 0.0, took + BACKOFF_MS * 2.0**attempt)
    began = np.cumsum(waits) - waits
    starts = np.cumsum(counts) - counts
    began -= began[np.minimum(starts, max(len(began) - 1, 0))][row] if len(began) else began
    ending = np.where(last, found.ending[row], found.first_failed[row])
    origin = np.where((found.fallback[row] == 1) & ~last, UNLUCKY_ORIGIN, ORIGIN_OF[model[row]])
    answered = ANSWERED[ending]
    told = pa.StructArray.from_arrays(
        [
            words(ORIGINS, origin),
            pa.array(STATUSES[ending], pa.int32(), mask=~answered),
            words(FAILURES, np.where(answered, -1, ending)),
            pa.array(np.round(began, 3)),
            pa.array(np.round(took, 3)),
        ],
        fields=list(TRIES.value_type),
    )
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    column = pa.ListArray.from_arrays(pa.array(offsets), told, type=TRIES, mask=pa.array(counts == 0))
    before = np.bincount(row, waits, len(counts)).astype(np.float64)
    return column, before
