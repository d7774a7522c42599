"""Load on a `heliograph up` whose processes are killed outright, and the account of its rows afterwards."""

import asyncio
import os
import random
import re
import signal
import time
from pathlib import Path
from uuid import uuid4

import aiohttp
import psutil

from tests.fakes.account import Account, call
from tests.fakes.stack import Stack, get

VICTIMS = ("ingress", "pipeline", "tree")


async def caller(stack: Stack, session: aiohttp.ClientSession, account: Account, stop: asyncio.Event) -> None:
    """One client after the other's heart: call, read to the end, note what was seen, again."""
    while not stop.is_set():
        token = uuid4().hex
        account.broken.add(token)
        try:
            if (await call(session, stack.proxy, token, streamed=random.random() < 0.5)).status == 200:
                account.broken.discard(token)
                account.completed.add(token)
        except (aiohttp.ClientError, OSError, TimeoutError):
            await asyncio.sleep(0.02)


def children(stack: Stack, role: str) -> list[psutil.Process]:
    """The supervisor's living children of one role."""
    family = psutil.Process(stack.processes["up"].pid).children()
    return [child for child in family if {role, "runtime.roles"} <= words_of(child)]


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def words_of(process: psutil.Process) -> set[str]:
    """Its command line; none when it has just died."""
    try:
        return set(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return set()


async def kill_one(stack: Stack, victim: str) -> None:
    if victim == "tree":
        await asyncio.to_thread(stack.kill_tree)
        await asyncio.to_thread(stack.start)
        return
    found = children(stack, victim)
    if found:
        os.kill(random.choice(found).pid, signal.SIGKILL)


async def soak(stack: Stack, *, rounds: int, seed: int, callers: int = 8) -> Account:
    """Runs load through `rounds` kills of random victims at random instants, drains, and counts."""
    chance, account, stop = random.Random(seed), Account(), asyncio.Event()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        load = [asyncio.create_task(caller(stack, session, account, stop)) for _ in range(callers)]
        for number in range(rounds):
            await asyncio.sleep(chance.uniform(0.2, 1.2))
            victim = VICTIMS[number % len(VICTIMS)]
            account.kills[victim] += 1
            await kill_one(stack, victim)
        await asyncio.sleep(1)
        stop.set()
        await asyncio.gather(*load)
    await asyncio.to_thread(stack.stop)
    await asyncio.to_thread(stack.start)
    count(stack, account)
    return account


def count(stack: Stack, account: Account, *, seconds: float = 30) -> None:
    """The rows, once all that is on the log has come to rest."""
    deadline = time.monotonic() + seconds
    while behind(stack) and time.monotonic() < deadline:
        time.sleep(0.2)
    for row in stack.query("SELECT call_id, properties['token'] AS token FROM calls"):
        account.rows[row["token"]] += 1
        account.call_ids[row["call_id"]] += 1


def behind(stack: Stack) -> bool:
    """Whether any reader has messages before it, or none has told yet."""
    lags = re.findall(r"^heliograph_log_lag_messages{.*} ([0-9.]+)$", get(f"{stack.api}/metrics").decode(), re.MULTILINE)
    return not lags or any(float(lag) for lag in lags)


def make(folder: Path, durability: str) -> Stack:
    return Stack(folder=folder, workers=2, env={"HELIOGRAPH_DURABILITY": durability})
