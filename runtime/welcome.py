"""What `heliograph up` says once it runs: where things are, and two snippets to paste."""

import shlex
import shutil
import sys
from pathlib import Path

from runtime.settings import Settings

TEXT = """
Heliograph is up.

  proxy   http://{host}:{port}     base URL for your applications
  query   http://{host}:{api_port}     the dashboard, SQL, REST, OpenAPI page at /docs
  data    {data}

Try it{how}:

  curl http://{host}:{port}/v1/chat/completions \\
    -H "Content-Type: application/json" -H "Authorization: Bearer {key}" \\
    -d '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "Hello!"}}]}}'

or in Python (pip install openai):

  from openai import OpenAI
  client = OpenAI(base_url="http://{host}:{port}/v1"{api_key})
  answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": "Hello!"}}])
  print(answer.choices[0].message.content)

Then ask what it cost:

  {query} "SELECT model, count(*) AS calls, sum(cost_usd) AS cost FROM calls GROUP BY 1"

Ctrl-C ends it; calls in flight and everything they left behind are finished first.
"""


def welcome(chosen: Settings, port: int, api_port: int, *, demo: bool) -> str:
    """The text, for these ports."""
    return TEXT.format(
        query=query_of(chosen, api_port),
        host=address_of(chosen.host),
        port=port,
        api_port=api_port,
        data=chosen.data_dir.resolve(),
        how=", the demo provider answers and any key will do" if demo else "",
        key="demo" if demo else "$OPENAI_API_KEY",
        api_key=', api_key="demo"' if demo else "",
    )


HERE = frozenset({"127.0.0.1", "localhost", "0.0.0.0"})
"""Addresses under which 127.0.0.1 answers, which `heliograph query` asks."""


def query_of(chosen: Settings, api_port: int) -> str:
    """`heliograph query` as another shell has to say it, which knows nothing of this one's options and variables."""
    words = f"{program()} query"
    if chosen.host not in HERE:
        return f"{words} --data-dir {shlex.quote(str(chosen.data_dir.resolve()))}"
    return f"{words} --api-port {api_port}" if "api_port" in chosen.model_fields_set else words


def address_of(host: str) -> str:
    """What a URL names to reach it."""
    if host in HERE | {"::", "::1"}:
        return "localhost"
    return f"[{host}]" if ":" in host else host


def program() -> str:
    """How this program is called here, as a shell takes it: by its name where that leads to it, else by the path it was started by."""
    started = Path(sys.argv[0])
    if started.name != "heliograph":
        return f"{shlex.quote(sys.executable)} -m runtime.cli"
    found = shutil.which("heliograph")
    if found is not None and Path(found).resolve() == started.resolve():
        return "heliograph"
    whole = started.absolute()
    short = str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else ""
    return shlex.quote(short if "/" in short else str(whole))
