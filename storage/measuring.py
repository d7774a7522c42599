"""What alerts measure: a question to the lake, asked in this process."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from datetime import UTC, datetime, timedelta

from eventlog.alerts import Aggregation, Alert, AlertMetric, Measured
from storage.query import Questions
from storage.rest.fields import FAILED, PROPERTIES
from storage.rest.sql import Sql, all_of, time, value

_LATENCIES = {Aggregation.P95: "quantile_cont(latency_ms, 0.95)", Aggregation.MEAN: "avg(latency_ms)"}


def measured(questions: Questions, alert: Alert, now: datetime) -> Measured:
    """An alert's metric over the window that ends now, as the lake has it. Blocks. Raises Refused."""
    question = f"SELECT count(*) AS calls, {_figure(alert)} AS value FROM calls WHERE " + _where(alert, now)
    [row] = questions.ask(question.text, organization=alert.organization, parameters=question.values).table.to_pylist()
    return Measured(None if row["value"] is None else float(row["value"]), int(row["calls"]))


def _figure(alert: Alert) -> str:
    match alert.metric:
        case AlertMetric.COST:
            return "sum(cost_usd)"
        case AlertMetric.ERROR_RATE:
            return f"100.0 * count(*) FILTER ({FAILED}) / nullif(count(*), 0)"
        case AlertMetric.LATENCY:
            return _LATENCIES[alert.aggregation]


def _where(alert: Alert, now: datetime) -> Sql:
    end = now.astimezone(UTC).replace(tzinfo=None)
    begin = end - timedelta(seconds=alert.window_s)
    conditions = ["created_at > " + time(begin.isoformat()), "created_at <= " + time(end.isoformat())]
    if alert.user_id is not None:
        conditions.append("user_id = " + value(alert.user_id))
    if alert.property is not None:
        conditions.append(PROPERTIES.at(alert.property.key).sql + " = " + value(alert.property.value))
    return all_of(conditions)
