"""How the children of one machine are started and ended."""

import asyncio
import os
import signal
import time
from pathlib import Path

from runtime.settings import Settings
from runtime.sockets import listen
from runtime.supervisor import Child, Part, Supervisor


async def test_a_child_that_is_being_restarted_hears_of_the_end_too(tmp_path: Path) -> None:
    sockets = tuple(listen("127.0.0.1", 0, setting="--demo-port"))
    child = Child(Part("demo", 1, sockets), os.environ)
    supervisor = Supervisor(Settings(data_dir=tmp_path))
    supervisor._children.append(child)
    await child.start()
    first = child.process
    async with asyncio.timeout(30):
        await child.ready.wait()
        child.tell(signal.SIGKILL)
        await child.wait()
        restarting = asyncio.create_task(child.start())
        await asyncio.sleep(0)  # the start is under way
        assert child.process is first
        late = await supervisor._end_role("demo", time.monotonic() + 20)
        await restarting
    assert not late
    assert child.process is not first
    assert child.dead
    for each in sockets:
        each.close()
