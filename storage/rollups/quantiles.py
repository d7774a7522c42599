"""Quantiles of a question that rollups answer: rows that hold, each for its group, what sketches tell.

A group's quantile is no sum of what its rows hold, so it is found before, from all sketches of the group. It then comes to the question in
a row of its own, beside those that stand for calls: one that looks like any other of its group, and adds nothing to sums.
"""

# ruff: noqa: S608 SQL is made of names of ours and of trees that were looked at

from collections import Counter
from collections.abc import Iterable

import duckdb

from storage.carried import quoted
from storage.rollups.aggregated import MARK, TIME, Aggregated
from storage.rollups.measures import KEYS
from storage.rollups.shaping import Given, grouped, quantile_lists
from storage.syntax import serialized, text_of

_ROWS, _LIKE = f"{MARK}rows", f"{MARK}like"


def sketches_of(asked: Aggregated) -> frozenset[str]:
    return frozenset(each.sketch for each in asked.quantiles)


def quantile_rows(connection: duckdb.DuckDBPyConnection, asked: Aggregated, rows: str) -> str:
    """One row for each group. `rows` have sketches, and the time and keys that the question is about."""
    by = [f"{MARK}g{number}" for number in range(len(asked.groups))]
    like = ", ".join(f"'{name}': {name}" for name in (TIME, *KEYS))
    told = ", ".join((f"{{{like}}} AS {_LIKE}", *sorted(sketches_of(asked))))
    tree = serialized(connection, f"SELECT {told} FROM ({rows}) AS {quoted(asked.name)}")
    groups = ({**each, "alias": name} for each, name in zip(asked.groups, by, strict=True))
    chosen = {**tree, "select_list": [*tree["select_list"], *groups], "where_clause": asked.tree["where_clause"]}
    return f"WITH {_ROWS} AS ({text_of(connection, chosen)}) SELECT unnest({_LIKE}), {_columns(asked)} FROM ({_met(asked, by)})"


def _met(asked: Aggregated, by: list[str]) -> str:
    """For each group a row of it, and what each sketch tells."""
    given = [Given(_ROWS, calls=False)]
    lists = {sketch: [each.share for each in asked.quantiles if each.sketch == sketch] for sketch in sketches_of(asked)}
    parts = [
        f"SELECT {_listed((*by, f'any_value({_LIKE}) AS {_LIKE}'))} FROM {_ROWS}{grouped(by)}",
        *(quantile_lists(sketch, _list_of(sketch), given, by, shares) for sketch, shares in lists.items()),
    ]
    columns = (_LIKE, *map(_list_of, lists))
    return f"SELECT {_listed(f'any_value({name}) AS {name}' for name in columns)} FROM ({' UNION ALL BY NAME '.join(parts)}){grouped(by)}"


def _columns(asked: Aggregated) -> str:
    """Each quantile, by its place in the list of its sketch."""
    places = Counter[str]()
    columns = []
    for number, each in enumerate(asked.quantiles):
        places[each.sketch] += 1
        columns.append(f"{_list_of(each.sketch)}[{places[each.sketch]}] AS {MARK}q{number}")
    return _listed(columns)


def _list_of(sketch: str) -> str:
    return f"{MARK}{sketch}"


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(columns)
