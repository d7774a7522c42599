"""What was said of calls afterwards, beside them: the newest rating and scores, and the properties that were given."""

# ruff: noqa: S608 every text that goes into the SQL passes `literal`

from collections.abc import Sequence, Set

from eventlog.events import Organization
from storage.engine import literal
from storage.needed import JUDGED, PROPERTIES, RATED
from storage.sources import LiveFile, Source, scan_sql

GIVEN = "__given"
"""The table of what was given to each call, on a connection for which it was put together before (`given.py`)."""


def with_feedback_sql(
    current: str, feedback: Source, organization: Organization | None, *, about: str = "true", needs: Set[str] = JUDGED
) -> str:
    """Calls with what was said of them: one join for ratings and scores, one for properties, each only where it is needed."""
    keys = ("organization", "request_id") if organization is None else ("request_id",)
    joins, laid_over, rated = "", "", "MAP {}::MAP(VARCHAR, DOUBLE) AS scores, NULL::BOOLEAN AS rating"
    if feedback.files and needs & RATED:
        judged = judged_sql(_given_sql(feedback, feedback.files, organization, about), keys)
        joins = f"LEFT JOIN ({judged}) f ON {_same('f', keys)}"
        rated = "coalesce(f.scores, MAP {}::MAP(VARCHAR, DOUBLE)) AS scores, f.rating"
    files = giving(feedback)
    if files and PROPERTIES in needs:
        given = GIVEN
        if feedback.given is None or about != "true":
            given = f"({given_properties_sql(giving_sql(feedback, files, organization, about), keys)})"
        joins += f" LEFT JOIN {given} p ON {_same('p', keys)}"
        laid_over = "REPLACE (if(p.properties IS NULL, c.properties, map_concat(c.properties, p.properties)) AS properties)"
    return f"SELECT c.* {laid_over}, {rated} FROM ({current}) c {joins}"


def giving(feedback: Source) -> list[LiveFile]:
    """The files in which properties may be given."""
    return [file for file in feedback.files if file.may_give_properties]


def giving_sql(feedback: Source, files: Sequence[LiveFile], organization: Organization | None = None, about: str = "true") -> str:
    """The rows of these files that give some."""
    some = "property_count > 0" if feedback.whole else "cardinality(properties) > 0"  # a number tells sooner, where each row has it
    return f"SELECT * FROM ({_given_sql(feedback, files, organization, about)}) WHERE {some}"


def _same(side: str, keys: Sequence[str]) -> str:
    return " AND ".join(f"{side}.{key} = c.{key}" for key in keys)


def _given_sql(feedback: Source, files: Sequence[LiveFile], organization: Organization | None, about: str) -> str:
    """The feedback of one organization, or all. A filter would keep the join above from being dropped; a join with a single name does not.

    That calls of one organization find only ratings of their own is not enough: what a question asks of a rating is asked before they are
    joined, and its error would tell of others.
    """
    given = scan_sql(feedback, files, None)
    if about != "true":
        given = f"SELECT * FROM ({given}) WHERE {about}"
    if organization is None:
        return given
    return f"SELECT * FROM ({given}) SEMI JOIN (VALUES ({literal(organization)})) own(organization) USING (organization)"


def judged_sql(given: str, keys: Sequence[str]) -> str:
    """Of each request the newest rating, and the newest value of each score: later maps laid over earlier ones.

    What takes a rating back is the newest as well; a score that is NULL was taken back.
    One join, grouped by exactly what it is joined on: so the optimizer drops it where neither is asked for.
    """
    return f"""
        SELECT {", ".join(keys)},
            arg_max_null(rating, {{given: given_at, id: feedback_id}}) FILTER (rating IS NOT NULL OR rating_retracted) AS rating,
            map_from_entries(list_filter(map_entries({_laid_over_sql("scores")}), lambda score: score.value IS NOT NULL)) AS scores
        FROM ({given}) GROUP BY {", ".join(keys)}"""


def given_properties_sql(given: str, keys: Sequence[str]) -> str:
    """Of each request the newest value of each property that was given afterwards. Most are given some once: those need not be gathered."""
    named = ", ".join(keys)
    return f"""
        WITH given AS MATERIALIZED ({given}),
        again AS MATERIALIZED (SELECT {named} FROM given GROUP BY {named} HAVING count(*) > 1)
        SELECT {named}, properties FROM given ANTI JOIN again USING ({named}) UNION ALL
        SELECT {named}, {_laid_over_sql("properties")} AS properties FROM given SEMI JOIN again USING ({named}) GROUP BY {named}"""


def _laid_over_sql(column: str) -> str:
    """The maps of a group as one. NULL where all are empty. Most groups have one, which then need not be put in order."""
    gathered = f"list({{given: given_at, id: feedback_id, said: {column}}}) FILTER (cardinality({column}) > 0)"
    in_order = f"list_transform(list_sort({gathered}), lambda each: each.said)"
    laid_over = f"list_reduce({in_order}, lambda older, newer: map_concat(older, newer))"
    return f"CASE WHEN len({gathered}) = 1 THEN ({gathered})[1].said ELSE {laid_over} END"
