"""`heliograph up` on a real Kafka: a call becomes a row, as it does on one machine."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from eventlog.topics import TOPICS
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
            answer.read()  # who leaves before that has interrupted the call
        row = running.row("user_id = 'over-kafka'")
        assert (row["call_id"], row["outcome"], row["model"]) == (call_id, "completed", "gpt-4o-mini")
        assert row["total_tokens"] > 0
        assert row["cost_usd"] is not None


def test_a_sink_refuses_topics_that_are_missing_and_names_the_remedy(broker: str, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")} | {
        "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": broker,
        "HELIOGRAPH_KAFKA__TOPIC_PREFIX": "nobody-made-these.",
        "HELIOGRAPH_DATA_DIR": str(tmp_path),
    }
    for role in ("sink", "processors"):
        command = [sys.executable, "-m", "runtime.roles", role]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2
        assert "is missing; run `heliograph topics create`" in done.stderr
        assert "Traceback" not in done.stderr


def test_topics_are_made_checked_and_raised_by_command(broker: str) -> None:
    config = kafka.config(broker)
    env = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    env |= {
        "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": broker,
        "HELIOGRAPH_KAFKA__TOPIC_PREFIX": config.topic_prefix,
        "HELIOGRAPH_KAFKA__PARTITIONS": "3",
    }

    def topics(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "runtime.cli", "topics", *words]
        return subprocess.run(command, env=env | more, capture_output=True, text=True, timeout=60, check=False)

    missing = topics("check")
    assert (missing.returncode, missing.stdout.count("fatal: ")) == (1, 1)
    alone = topics("create", HELIOGRAPH_KAFKA__REPLICATION="3").stderr
    assert "HELIOGRAPH_KAFKA__REPLICATION=3 asks for as many brokers" in alone
    secured = {"HELIOGRAPH_KAFKA__SASL_USERNAME": "u", "HELIOGRAPH_KAFKA__SASL_PASSWORD": "p"}
    [plain] = topics("check", HELIOGRAPH_KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT", **secured).stderr.splitlines()
    assert "speaks no SASL; see HELIOGRAPH_KAFKA__SECURITY_PROTOCOL (SASL_PLAINTEXT)" in plain
    assert topics("create").stdout.count("made ") == len(TOPICS) + 1  # what the join holds
    assert "as the settings ask" in topics("check").stdout
    assert topics("raise", "--partitions", "5").stdout.count("3 to 5") == sum(topic.coupled for topic in TOPICS.values()) + 1
    told = topics("check")
    assert (told.returncode, "HELIOGRAPH_KAFKA__PARTITIONS says 3" in told.stdout) == (0, True)
    assert told.stdout.count("advice: ") == 1
    assert "topics raise" not in told.stdout
    more = topics("check", HELIOGRAPH_KAFKA__PARTITIONS="9").stdout
    assert "set HELIOGRAPH_KAFKA__PARTITIONS=5, or run `heliograph topics raise --partitions 9`" in more
    assert "cannot be taken away" in topics("raise", "--partitions", "2").stderr
