"""A condition is one condition, and within the wall."""

import duckdb
import pytest

from storage.condition import checked_condition
from storage.refusal import Refused
from storage.views import VIEWS

CONDITIONS = {
    "a comparison": ("status >= 400", set()),
    "several": ("status = 200 OR model LIKE 'gpt%' AND NOT stream", set()),
    "a comment at its end": ("status = 200 -- all is well", set()),
    "a bracket in a text": ("error = ') UNION SELECT ('", set()),
    "another table": ("call_id IN (SELECT call_id FROM bodies WHERE text ILIKE '%refund%')", {"bodies"}),
    "its own table, as a whole": ("cost_usd > (SELECT avg(cost_usd) FROM calls)", {"calls"}),
}
REFUSED = {
    "a second SELECT": ("true) UNION ALL SELECT (true", "invalid_sql"),
    "another FROM": ("true) FROM calls WHERE (true", "invalid_sql"),
    "an order": ("true) ORDER BY (1", "invalid_sql"),
    "two columns": ("true), (true", "invalid_sql"),
    "a name": ("true) x, (true", "invalid_sql"),
    "nothing": ("", "invalid_sql"),
    "nothing but a comment": ("-- later", "invalid_sql"),
    "two": ("true, true", "invalid_sql"),
    "half of one": ("status >=", "invalid_sql"),
    "two statements": ("true); DROP TABLE calls; SELECT (true", "not_read_only"),
    "a file": ("call_id IN (SELECT content FROM read_text('/etc/passwd'))", "forbidden_function"),
    "a file by its name": ("call_id IN (FROM '/etc/passwd')", "unknown_table"),
    "the environment": ("getenv('HOME') = user_id", "forbidden_function"),
    "a table of the engine": ("EXISTS (FROM duckdb_settings())", "forbidden_function"),
}


@pytest.mark.parametrize(("sql", "read"), CONDITIONS.values(), ids=CONDITIONS)
def test_it_is_taken(sql: str, read: set[str]) -> None:
    assert checked_condition(sql, duckdb.connect(), views=VIEWS.keys()) == read


@pytest.mark.parametrize(("sql", "code"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused(sql: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        checked_condition(sql, duckdb.connect(), views=VIEWS.keys())
    assert (refused.value.refusal.code, refused.value.refusal.field) == (code, "where")


def test_a_fault_is_told_where_it_is() -> None:
    with pytest.raises(Refused) as refused:
        checked_condition("status = 1 AND getenv('x') = 'y'", duckdb.connect(), views=VIEWS.keys())
    assert refused.value.refusal.position == len("status = 1 AND ")
