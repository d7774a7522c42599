"""Durations as counts in buckets: a sketch that merges by adding, and tells quantiles within 1 %.

Bucket b holds what is above GAMMA^(b-1) and at most GAMMA^b milliseconds; a value is told by a point of its bucket that is no more than 1 %
from all others in it. (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", 2019.)
A sketch is exact about how many values there are, so a quantile between two values lies between the same two here.
"""

import math

ERROR = 0.01
"""How far a quantile may be from the exact one, as a share of it."""
GAMMA = (1 + ERROR) / (1 - ERROR)
LEAST_MS = 0.001
"""A millionth of a second; what is not longer is told as nothing."""
NOTHING, ENDLESS = -32_768, 32_767
"""The buckets of what is not longer than that, and of what is no finite number."""

_LOG = math.log(GAMMA)


def bucket_sql(column: str) -> str:
    """The bucket of a duration in milliseconds; NULL where it is not known. The value of a boundary may fall on either side of it."""
    return (
        f"CASE WHEN {column} <= {LEAST_MS} THEN {NOTHING} WHEN isfinite({column}) THEN CAST(ceil(ln({column}) / {_LOG!r}) AS INTEGER) "
        f"WHEN {column} IS NOT NULL THEN {ENDLESS} END"
    )


def value_sql(bucket: str) -> str:
    """What a bucket is told as, in milliseconds."""
    middle = f"{2 / (GAMMA + 1)!r} * pow({GAMMA!r}, {bucket})"
    return f"CASE {bucket} WHEN {NOTHING} THEN 0.0 WHEN {ENDLESS} THEN 'inf'::DOUBLE ELSE {middle} END"


def quantile_sql(quantile: float, value: str, reached: str, of: str) -> str:
    """An aggregate over the buckets of a group: the value below which a share of them lies, as `quantile_cont` interpolates it.

    `value` is what a bucket is told as, `reached` how many values are in it and those before it, `of` how many there are. NULL where there
    are none.
    """
    place = f"({quantile!r} * ({of} - 1))"
    low, high = (f"min({value}) FILTER ({reached} > {rounded}({place}))" for rounded in ("floor", "ceil"))
    part = f"max({place} - floor({place}))"
    return f"CASE WHEN {part} > 0 THEN {low} + {part} * ({high} - {low}) ELSE {low} END"
