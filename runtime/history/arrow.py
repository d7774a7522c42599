"""Whole columns at once: numpy's arrays as Arrow's, in the declared types."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.schema import COUNT, MONEY, PROPERTIES, TEXT

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_DIGITS_AT = np.array([at for at in range(36) if at not in {8, 13, 18, 23}])
UUID_LENGTH = 36


def dated_ids(milliseconds: Ints, rng: np.random.Generator) -> pa.Array:
    """UUIDs of version 7: they sort by time."""
    raw = rng.integers(0, 256, (len(milliseconds), 16), np.uint8)
    raw[:, :6] = milliseconds.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    return _uuids(raw, 0x70)


def random_ids(count: int, rng: np.random.Generator) -> pa.Array:
    """UUIDs of version 4."""
    return _uuids(rng.integers(0, 256, (count, 16), np.uint8), 0x40)


def _uuids(raw: Bytes, version: int) -> pa.Array:
    raw[:, 6] = raw[:, 6] & 0x0F | version
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    text = np.full((len(raw), UUID_LENGTH), ord("-"), np.uint8)
    text[:, _DIGITS_AT] = _HEX[np.stack([raw >> 4, raw & 15], axis=2).reshape(len(raw), 32)]
    ends = np.arange(len(raw) + 1, dtype=np.int32) * UUID_LENGTH
    return pa.StringArray.from_buffers(len(raw), pa.py_buffer(ends), pa.py_buffer(text))


def masked(values: npt.NDArray[np.generic], known: Flags | None, kind: pa.DataType = COUNT) -> pa.Array:
    """NULL where it is not known."""
    return pa.array(values, kind, mask=None if known is None else ~known)


def words(vocabulary: Sequence[str | None], at: Ints) -> pa.Array:
    """The word at each place; NULL below 0."""
    return pa.array(vocabulary, TEXT).take(pa.array(at, pa.int32(), mask=at < 0))


def nothing(count: int, kind: pa.DataType) -> pa.Array:
    return pa.nulls(count, kind)


def money(pico_usd: Ints, known: Flags) -> pa.Array:
    """Exact: the column counts millionths of millionths. NULL where it is not known."""
    pairs = np.zeros((len(pico_usd), 2), np.int64)
    pairs[:, 0] = np.where(known, pico_usd, 0)
    valid = np.packbits(known, bitorder="little")
    return pa.Array.from_buffers(MONEY, len(pico_usd), [pa.py_buffer(valid), pa.py_buffer(pairs)])


def no_maps(count: int, kind: pa.DataType) -> pa.Array:
    """Empty ones."""
    return pa.array([[]], kind).take(pa.array(np.zeros(count, np.int32)))


def maps(distinct: Sequence[dict[str, str]], at: Ints) -> pa.Array:
    """One of some maps for each row; an empty one below 0."""
    kinds = pa.array([[], *(list(each.items()) for each in distinct)], PROPERTIES)
    return kinds.take(pa.array(np.maximum(at, -1) + 1, pa.int32()))


def filled_maps(names: Sequence[str], columns: Sequence[pa.Array]) -> pa.Array:
    """A map for each row, of all columns that are not NULL there."""
    rows = len(columns[0])
    known = np.stack([np.asarray(column.is_valid()) for column in columns], axis=1)
    keys = np.tile(np.arange(len(names), dtype=np.int32), (rows, 1))[known]
    offsets = np.concatenate([[0], np.cumsum(known.sum(axis=1))]).astype(np.int32)
    stacked = pa.concat_arrays(columns)
    places = (np.arange(len(names)) * rows + np.arange(rows)[:, None])[known]
    return pa.MapArray.from_arrays(offsets, pa.array(names, TEXT).take(pa.array(keys)), stacked.take(pa.array(places)))
