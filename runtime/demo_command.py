"""`heliograph demo provider`."""

from typing import Annotated

import typer
import uvloop

from runtime.demo import serve
from runtime.options import DEMO_PORT
from runtime.sockets import listen


def demo_provider(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = DEMO_PORT,
    faults: Annotated[bool, typer.Option("--faults", help="Obey `x-demo-fault` headers: stall, split, reset, fail.")] = False,
) -> None:
    """Run a small provider that speaks OpenAI's and Anthropic's dialects, for trying things without a key."""
    uvloop.run(serve(listen("127.0.0.1", port, setting="--port"), faults=faults))
