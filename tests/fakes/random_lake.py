"""A lake to which random things happen: calls, late ones too, amendments, merges, erasures, days that are dropped. Seeded."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from storage.config import StorageConfig
from storage.lake import Lake
from storage.settling import settle
from tests.fakes.small_lake import SmallLake

TODAY = date(2026, 3, 10)
DAYS = 4
ORGANIZATIONS = ("default", "acme", "o'hara")
OUTCOMES = (("completed", 200), ("completed", 200), ("provider_error", 500), ("interrupted_by_client", None), ("rate_limited", 429))


class RandomLake:
    def __init__(self, folder: Path, seed: int, *, target_file_bytes: int = 64 << 20) -> None:
        self.random = Random(seed)
        self.small = SmallLake(folder)
        self.lake = Lake(StorageConfig(lake_uri=str(folder), target_file_bytes=target_file_bytes))
        self.made: list[dict[str, Any]] = []
        self.awaited: list[dict[str, Any]] = []
        """Calls that an amendment calls abandoned, and that may end after all."""

    def calls(self, count: int = 30) -> None:
        """Some of them long past: their days are closed."""
        rows = [self._call() for _ in range(count)]
        self.made += rows
        late = [self.awaited.pop() for _ in range(min(len(self.awaited), self.random.randint(0, 2)))]
        self.small.add("calls", *rows, *late)

    def amend(self) -> None:
        """Of calls that are there, of calls whose rows never come, and of calls that were never heard of again."""
        known = self.random.sample(self.made, min(len(self.made), 4))
        rows = [{**row, **self._figures(), "revision": self.random.randint(1, 3), "amended_at": self._at()} for row in known]
        rows.append({**self._call(), "revision": 1, "amended_at": self._at()})
        for _ in range(3):
            lost = self._call()
            rows.append({**lost, "revision": -1, "outcome": "abandoned", "status": None, "latency_ms": None, "cost_usd": None})
            self.awaited.append(lost)
        rows += [{**row, "revision": -1, "outcome": "abandoned"} for row in self.random.sample(self.made, min(len(self.made), 1))]
        self.small.add("amendments", *rows)

    def merge(self) -> None:
        self.lake.table(self.random.choice(["calls", "calls", "amendments"])).optimize.compact([("day", "=", self._day().isoformat())])

    def settle(self) -> None:
        settle(self.lake, min(self._day(), TODAY - timedelta(days=1)))

    def erase(self) -> None:
        self.lake.table("calls").delete(f"user_id = 'user-{self.random.randint(0, 5)}'")

    def drop(self) -> None:
        self.lake.table("calls").delete(f"day = '{self._day().isoformat()}'")

    def step(self) -> None:
        happens = self.random.choices([self.calls, self.amend, self.merge, self.settle, self.erase, self.drop], [8, 4, 3, 4, 1, 1])
        happens[0]()

    def _day(self) -> date:
        return TODAY - timedelta(days=self.random.randrange(DAYS))

    def _at(self) -> str:
        day = self._day()
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
            seconds=self.random.choice([0, 3600, self.random.uniform(0, 86399)])
        )
        return at.isoformat()

    def _call(self) -> dict[str, Any]:
        outcome, status = self.random.choice(OUTCOMES)
        return {
            "call_id": f"{self.random.getrandbits(64):016x}",
            "created_at": self._at(),
            "organization": self.random.choice(ORGANIZATIONS),
            "provider": self.random.choice(["openai", "anthropic"]),
            "model": self.random.choice(["small", "large", None]),
            "outcome": outcome,
            "status": status,
            "user_id": f"user-{self.random.randint(0, 9)}",
            **self._figures(),
        }

    def _figures(self) -> dict[str, Any]:
        random = self.random
        prompt = random.choice([None, random.randint(0, 5000), 2**62])
        return {
            "latency_ms": random.choice([None, 0.0, random.lognormvariate(6, 2), 1.0]),
            "ttft_ms": random.choice([None, random.lognormvariate(4, 1)]),
            "prompt_tokens": prompt,
            "total_tokens": prompt,
            "cache_read_tokens": random.choice([None, 7]),
            "cost_usd": random.choice([None, f"0.{random.randrange(10**12):012}", "99999.999999999999"]),
            "cost_saved_usd": random.choice([None, "0.5"]),
            "cache_hit": random.choice([None, True, False]),
            "stream": random.choice([True, False]),
            "rate_limited": random.choice([None, False, True]),
        }
