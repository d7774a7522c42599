"""How to send the first call: what to paste into a shell, Python or TypeScript, with the address by which the viewer reaches the proxy."""

_CURL = """\
curl {base}/v1/chat/completions \\
  -H "Content-Type: application/json" \\
  -H "Authorization: Bearer $OPENAI_API_KEY" \\{curl_auth}
  -d '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "Hello!"}}]}}'"""
_PYTHON = """\
{python_os}from openai import OpenAI  # pip install openai

client = OpenAI(
    base_url="{base}/v1",{python_auth}
)
answer = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{{"role": "user", "content": "Hello!"}}],
)
print(answer.choices[0].message.content)"""
_TYPESCRIPT = """\
import OpenAI from "openai"; // npm install openai

const client = new OpenAI({{
  baseURL: "{base}/v1",{typescript_auth}
}});
const answer = await client.chat.completions.create({{
  model: "gpt-4o-mini",
  messages: [{{ role: "user", content: "Hello!" }}],
}});
console.log(answer.choices[0].message.content);"""


def snippets(host: str, port: int, *, by_key: bool) -> list[tuple[str, str]]:
    """`by_key`: callers have to say who they are."""
    said = {
        "base": f"http://{f'[{host}]' if ':' in host else host}:{port}",
        "curl_auth": '\n  -H "Helicone-Auth: Bearer $HELIOGRAPH_KEY" \\' if by_key else "",
        "python_auth": _AUTH_PYTHON if by_key else "",
        "python_os": "import os\n" if by_key else "",
        "typescript_auth": _AUTH_TYPESCRIPT if by_key else "",
    }
    return [("curl", _CURL.format(**said)), ("Python", _PYTHON.format(**said)), ("TypeScript", _TYPESCRIPT.format(**said))]


_AUTH_PYTHON = '\n    default_headers={"Helicone-Auth": f"Bearer {os.environ[\'HELIOGRAPH_KEY\']}"},'
_AUTH_TYPESCRIPT = '\n  defaultHeaders: { "Helicone-Auth": `Bearer ${process.env.HELIOGRAPH_KEY}` },'
