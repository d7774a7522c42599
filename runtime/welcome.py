"""What `heliograph up` says once it runs: where things are, and two snippets to paste."""

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

  from openai import OpenAI
  client = OpenAI(base_url="http://localhost:{port}/v1"{api_key})
  answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": "Hello!"}}])

Then ask what it cost:

  heliograph query "SELECT model, count(*) AS calls, sum(cost_usd) AS cost FROM calls GROUP BY 1"

Ctrl-C ends it; calls in flight and everything they left behind are finished first.
"""


def welcome(chosen: Settings, port: int, api_port: int, *, demo: bool) -> str:
    """The text, for these ports."""
    return TEXT.format(
        port=port,
        api_port=api_port,
        data=chosen.data_dir.resolve(),
        how=", the demo provider answers and any key will do" if demo else "",
        key="demo" if demo else "$OPENAI_API_KEY",
        api_key=', api_key="demo"' if demo else "",
    )
