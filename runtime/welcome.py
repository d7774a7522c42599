"""What `heliograph up` says once it runs: where things are, and two snippets to paste."""

import shlex
import shutil
import sys
from pathlib import Path

from runtime.settings import Settings

TEXT = """
Heliograph is up.

  proxy   http://localhost:{port}     base URL for your applications
  query   http://localhost:{api_port}     SQL, REST, OpenAPI page at /docs
  data    {data}

Try it{how}:

  curl http://localhost:{port}/v1/chat/completions \\
    -H "Content-Type: application/json" -H "Authorization: Bearer {key}" \\
    -d '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "Hello!"}}]}}'

or in Python (pip install openai):

  from openai import OpenAI
  client = OpenAI(base_url="http://localhost:{port}/v1"{api_key})
  answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": "Hello!"}}])
  print(answer.choices[0].message.content)

Then ask what it cost:

  {program} query "SELECT model, count(*) AS calls, sum(cost_usd) AS cost FROM calls GROUP BY 1"

Ctrl-C ends it; calls in flight and everything they left behind are finished first.
"""


def welcome(chosen: Settings, port: int, api_port: int, *, demo: bool) -> str:
    """The text, for these ports."""
    return TEXT.format(
        program=program(),
        port=port,
        api_port=api_port,
        data=chosen.data_dir.resolve(),
        how=", the demo provider answers and any key will do" if demo else "",
        key="demo" if demo else "$OPENAI_API_KEY",
        api_key=', api_key="demo"' if demo else "",
    )


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
