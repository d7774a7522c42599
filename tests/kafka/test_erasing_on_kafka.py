"""The right to be forgotten on a real Kafka: the topics keep their records, and no lake of ours takes them any more."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

from eventlog.erasure import About
from eventlog.kafka import KafkaLog
from runtime.deciding import decided_on
from runtime.erasing import Eraser, Wish
from runtime.settings import Settings
from storage.sink import run_sink
from tests.fakes import kafka
from tests.fakes.people import ACME, PEOPLE, Speaker, call_of, moment, said
from tests.fakes.sinking import lake_at, rows, sinking

ANN = "ann@x.com"


async def test_what_kafka_keeps_comes_to_no_lake(broker: str, tmp_path: Path) -> None:
    config = kafka.config(broker)
    await kafka.create_topics(config)
    log = await KafkaLog.open(config)
    chosen = Settings(data_dir=tmp_path, kafka={"bootstrap_servers": broker, "retention_hours": 24}, sink={"flush_seconds": 0.2})  # type: ignore[arg-type]
    lake, anew = lake_at(tmp_path / "lake"), lake_at(tmp_path / "anew")
    try:
        speaker = Speaker("a" * 32)
        await said(log, speaker.say([call_of(user, number) for user in PEOPLE for number in range(2)]))
        async with sinking(log, lake):
            await rows(lake, 12, "bodies")
        await said(log, speaker.say([call_of(user, 2) for user in PEOPLE]))  # of which the lake has heard nothing

        wish = Wish(about=About.USER, organization=ACME, value=ANN, at=moment())
        report = await Eraser(chosen, log, lake, wish, lambda *_: None, moment).carry_out()
        assert report.left == 0
        kept = {each.what: each.until for each in report.remains if "events on" in each.what}
        assert kept == dict.fromkeys(
            (f"3 events on llm.{name}.v1" for name in ("requests", "responses", "feedback")), wish.at + timedelta(hours=24)
        )

        erasures = (await decided_on(log)).erasures
        assert ANN not in str(erasures)
        stop = asyncio.Event()
        sink = run_sink(
            log, anew, anew.config, assemble=lambda event: None, stop=stop, clock=time.time, drains=False, erasures=lambda: erasures
        )
        running = asyncio.create_task(sink)
        bodies = await rows(anew, 12, "bodies")
        stop.set()
        await running
        assert set(bodies) == {f"{user}-{number}" for user in PEOPLE if user != ANN for number in range(3)}
        given = anew.table("feedback").to_pyarrow_table().column("feedback_id").to_pylist()
        assert sorted(given) == sorted(f"f-{call}" for call in bodies)
    finally:
        await log.close()
