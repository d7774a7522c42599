"""What is logged afterwards on the query port is on durable ground before it is answered, redacted, with Kafka away too."""

from pathlib import Path
from typing import Any

import pytest

from eventlog.events import Organization, RequestReceived, ResponseCompleted
from eventlog.redaction import Redaction
from ingress.async_log import parse_log
from ingress.async_log_events import events_of
from ingress.directives import NOTHING
from ingress.recording import CallIds
from runtime.emitting import LateEmitter
from runtime.settings import Settings
from tests.fakes.keyring import MADE_AT

NOW = 1_764_000_000.0
BODY = b"""{"providerRequest": {"url": "x", "json": {"model": "m", "text": "a@example.com"}},
"providerResponse": {"status": 200, "json": {"text": "b@example.com"}}}"""


def call() -> tuple[RequestReceived, ResponseCompleted]:
    logged = parse_log(BODY, [], NOW)
    return events_of(logged, NOTHING, organization=Organization("acme"), call_id=CallIds().draw(NOW), provider="openai", body_limit=9_999)


def rule(organization: Organization) -> Redaction:
    return Redaction(organization=organization, detectors=("email",), set_at=MADE_AT)


async def emitted(chosen: Settings) -> bool:
    emitter = LateEmitter(chosen, rule)
    try:
        return await emitter.emit_calls_durably([call()])
    finally:
        await emitter.close()


WHERE: dict[str, dict[str, Any]] = {
    "in the embedded log": {},
    "in the spill, with Kafka away": {"kafka": {"bootstrap_servers": "127.0.0.1:1"}, "shutdown_s": 1},
}


@pytest.mark.parametrize("settings", WHERE.values(), ids=WHERE)
async def test_both_events_are_on_disk_and_redacted(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert await emitted(Settings(data_dir=tmp_path, **settings))
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for what in (b"response-completed", b"request-received", b"async_log"):
        assert what in kept
    assert b"@example.com" not in kept


async def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not await emitted(Settings(data_dir=tmp_path / "file"))
