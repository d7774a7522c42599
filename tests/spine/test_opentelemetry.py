"""Spans, by both ports, from the exporter to SQL: the call with its tokens and cost, the step above it, and what was said."""

import json

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.fakes.spans import CHAT
from tests.fakes.stack import Stack

SAID = [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
ANSWERED = [{"role": "assistant", "parts": [{"type": "text", "content": "Hi"}], "finish_reason": "stop"}]


@pytest.mark.parametrize(("port", "path"), [("proxy", "/v1/traces"), ("api", "/v1/trace/log-python")])
def test_an_agent_and_its_call(stack: Stack, port: str, path: str) -> None:
    tracing = TracerProvider(resource=Resource({"service.name": f"shop-{port}"}))
    tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{getattr(stack, port)}{path}")))
    tracer = tracing.get_tracer("shop")
    with (
        tracer.start_as_current_span("plan", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}),
        tracer.start_as_current_span("chat gpt-4o-mini", attributes=CHAT) as span,
    ):
        span.set_attributes({"gen_ai.input.messages": json.dumps(SAID), "gen_ai.output.messages": json.dumps(ANSWERED)})
    trace = f"{span.get_span_context().trace_id:032x}"
    tracing.shutdown()
    mine = f"properties['service.name'] = 'shop-{port}'"
    found = {row["model"]: row for row in stack.rows(mine, count=2)}
    call, step = found["gpt-4o-mini-2024-07-18"], found["data:planner"]
    assert (call["source"], call["session_id"], call["session_path"]) == ("otlp", trace, "/planner/chat gpt-4o-mini")
    assert (call["prompt_tokens"], call["completion_tokens"], float(call["cost_usd"])) == (100, 20, 0.000027)
    assert (step["session_id"], step["session_path"], step["total_tokens"], step["cost_usd"]) == (trace, "/planner", None, None)
    assert call["traceparent"].startswith(f"00-{trace}-")
    bodies = stack.call(call["call_id"])
    assert json.loads(bodies["request"]["text"])["messages"] == [{"role": "user", "content": "Hello"}]
    assert json.loads(bodies["response"]["text"])["choices"][0]["message"] == {"role": "assistant", "content": "Hi"}
