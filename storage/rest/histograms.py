"""How figures are spread: bars of the same width, up to a quantile, so that a few that are far away do not flatten the rest."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Iterable, Sequence
from enum import StrEnum

from storage.rest.sql import Row, Sql, joined

BARS = 15


class Quantile(StrEnum):
    """Up to where bars go."""

    P50 = "p50"
    P75 = "p75"
    P95 = "p95"
    P99 = "p99"
    P999 = "p99.9"


def spread(figures: Sql, columns: Iterable[str], upto: Quantile, *, interquartile: bool) -> Sql:
    """Of each column of `figures` the bars: column, range_start, range_end, value.

    `interquartile`: what is further from the middle half than one and a half times its width is left out as well (Tukey's fences).
    """
    return (
        "WITH figures AS (" + figures + ") " + joined(" UNION ALL ", (_bars(column, upto, interquartile) for column in columns)) + _ORDERED
    )


_ORDERED = " ORDER BY figure, range_start"


def _bars(column: str, upto: Quantile, interquartile: bool) -> Sql:
    share = float(upto.removeprefix("p")) / 100
    fences = "q3 + 1.5 * (q3 - q1), q1 - 1.5 * (q3 - q1)" if interquartile else "NULL, NULL"
    return Sql(f"""
        SELECT '{column}' AS figure, least + width * bar AS range_start, least + width * (bar + 1) AS range_end, count(*) AS value FROM (
            SELECT least, width, if(width = 0, 0, least({BARS - 1}, floor((figure - least) / width)))::INTEGER AS bar FROM (
                SELECT figure, min(figure) OVER () AS least, (max(figure) OVER () - min(figure) OVER ()) / {BARS} AS width FROM (
                    SELECT {column}::DOUBLE AS figure FROM figures WHERE {column} IS NOT NULL
                ), (
                    SELECT quantile_cont({column}::DOUBLE, {share}) AS most, quantile_cont({column}::DOUBLE, 0.25) AS q1,
                        quantile_cont({column}::DOUBLE, 0.75) AS q3, [{fences}] AS fences FROM figures
                ) WHERE figure <= most AND coalesce(figure <= fences[1] AND figure >= fences[2], true)
            )
        ) GROUP BY least, width, bar""")


def bars_of(found: Sequence[Row], figure: str) -> list[Row]:
    """Those of one column."""
    return [{name: said for name, said in row.items() if name != "figure"} for row in found if row["figure"] == figure]
