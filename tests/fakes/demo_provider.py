"""The demo provider with its faults, without the command line around it: `python demo_provider.py PORT`."""

import asyncio
import socket
import sys

import uvloop

from runtime.demo import serve


def main() -> None:
    listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve([listening], faults=True))


if __name__ == "__main__":
    main()
