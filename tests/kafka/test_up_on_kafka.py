"""`heliograph up` on a real Kafka: a call becomes a row, as it does on one machine."""

import json
import urllib.request
from pathlib import Path

from tests.fakes import kafka
from tests.fakes.stack import stack


async def test_a_call_travels_over_kafka_to_a_sql_answer(broker: str, tmp_path: Path) -> None:
    config = kafka.config(broker)
    await kafka.create_topics(config)
    env = {
        "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": broker,
        "HELIOGRAPH_KAFKA__TOPIC_PREFIX": config.topic_prefix,
        "HELIOGRAPH_KAFKA__PARTITIONS": "3",
        "HELIOGRAPH_KAFKA__MAX_MESSAGE_BYTES": str(config.max_message_bytes),
        "HELIOGRAPH_KAFKA__ACKNOWLEDGED_MS": "5000",
    }
    with stack(tmp_path, **env) as running:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}
        headers = {"content-type": "application/json", "authorization": "Bearer sk-test", "helicone-user-id": "over-kafka"}
        request = urllib.request.Request(f"{running.proxy}/v1/chat/completions", json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=20) as answer:
            call_id = answer.headers["helicone-id"]
        row = running.row("user_id = 'over-kafka'")
        assert (row["call_id"], row["outcome"], row["model"]) == (call_id, "completed", "gpt-4o-mini")
        assert row["total_tokens"] > 0
        assert row["cost_usd"] is not None
