"""Writes what repeats the code in our pages: settings, commands, tables, events. `make docs` runs it; a test fails when one is behind."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from eventlog.schemas import schema_json, summaries
from eventlog.topics import HELD, TOPICS
from runtime.cli import app
from runtime.settings import Group, variables
from storage.views import VIEWS

HERE = Path(__file__).parent


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "A setting is an environment variable, or a line of `.env` in the working directory; the environment wins, and a command's own",
        "option wins over both. `heliograph settings` prints them all with their values and where each comes from. A name that is no",
        "setting is refused at start.",
        "",
        "| setting | default | what it is for |",
        "| --- | --- | --- |",
    ]
    lines += [f"| `{name}` | {shown(default)} | {about} |" for name, default, about in variables()]
    lines += [
        "",
        "`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are obeyed as usual: calls then leave through that proxy, and",
        "targets that callers name need `HELIOGRAPH_TARGET_HOSTS`, because their addresses cannot be judged here.",
        "",
    ]
    return "\n".join(lines)


def shown(default: Any) -> str:
    if default is None or default in ((), {}):
        return ""
    if isinstance(default, Group):
        raise TypeError("groups are listed by their members")
    return f"`{getattr(default, 'value', default)}`"


def commands_page() -> str:
    lines = ["# Commands", "", "`heliograph --install-completion` sets up completion for your shell.", ""]
    for path, command in commands(typer.main.get_command(app), ("heliograph",)):
        usage = " ".join(
            [
                *path,
                *(
                    f"[{each.name.upper()}]" if not each.required else f"{(each.metavar or each.name).upper()}"
                    for each in arguments(command)
                ),
            ]
        )
        lines += [f"## `{' '.join(path)}`", "", (command.help or "").strip(), "", f"    {usage}", ""]
        options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
        if options:
            lines += ["| option | what it does |", "| --- | --- |"]
            lines += [f"| `{', '.join([*each.opts, *each.secondary_opts])}` | {(each.help or '').strip()} |" for each in options]
            lines.append("")
    return "\n".join(lines)


def arguments(command: Any) -> list[Any]:
    return [each for each in command.params if each.param_type_name == "argument"]


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that call it."""
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    if command.invoke_without_command and command.params and len(path) > 1:
        yield path, command
    for name in command.list_commands(None):
        yield from commands(command.get_command(None, name), (*path, name))


def tables_page() -> str:
    lines = [
        "# Tables",
        "",
        "What SQL sees: the rows of one [organization](keys.md), or of all where the operator asks for them.",
        "Times are UTC; property keys are lower-case, as HTTP delivers them; NULL means *not known*, never zero.",
        "",
        "```sql",
        "SELECT model, sum(cost_usd) AS cost, count(*) FILTER (cost_usd IS NULL) AS unpriced FROM calls GROUP BY 1 ORDER BY 2 DESC",
        "```",
        "",
        "Of a million calls and more, a question like this one is answered from what was added up before, to the last digit the same,",
        "in a tenth of the time: where it adds up `calls` alone, groups them by `model`, `provider`, `outcome`, `status`, hours, days or",
        "longer, has conditions on these and on `created_at`, and asks for `count`, for `sum` of costs and tokens, or for the shortest",
        "and the longest latency. `approx_quantile(latency_ms, 0.95)`, and of `ttft_ms`, is within 1 % then, from the sketches that",
        "[`calls_by_hour`](#calls_by_hour) shows; `quantile_cont` is exact, and reads all calls. `EXPLAIN` shows how a question is asked",
        "of calls.",
        "",
    ]
    for view in VIEWS.values():
        lines += [f"## `{view.name}`", "", view.description, "", "| column | type | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{column.name}` | {column.type} | {column.description} |" for column in view.columns]
        lines.append("")
    return "\n".join([*lines, ON_DISK])


ON_DISK = """## The files on disk

In the lake (`data/lake`, or `HELIOGRAPH_LAKE_URI`) the tables `calls`, `amendments`, `superseded`, `bodies`, `feedback`, `dead_letters`
and `rollups` are Delta tables. Rows are appended; what upkeep, `heliograph compact`, [retention and erasure](erasing.md) rewrite is a
commit of its own.
`heliograph lake files TABLE` prints the live Parquet files of one; other files in its folder are old.

The table `calls` is not the view `calls`: a row of it may have been replaced. What replaces it is a whole row in `amendments`, with
the same `call_id` and columns:

| `revision` | in | what it is |
| --- | --- | --- |
| 0 | `calls` | the live row, as the call was understood when it ended |
| 1, 2, … | `amendments`, then `calls` | by `replay`, `reprice` or the [booking of a batch](dialects.md#billed-once); the highest stands |
| -1 | `amendments`, then `calls` | a call that began and never ended (`abandoned`); stands only where there is no other row |

Once a day is over it is settled: its calls are written anew into one file, sorted by organization and time; and a day later once more, by
organization, user, session and time. Both have Bloom filters for `call_id`, `request_id` and `session_id`. The rows of `amendments` are
folded in, with the revision they have, and what they replaced goes to `superseded`, from which `cost_history` is told.

So of each call the row with the highest `revision` stands. Who reads `calls` alone has stale rows then, and no abandoned calls.

```python
import duckdb
import polars
from deltalake import DeltaTable

files = [uri for table in ("calls", "amendments") for uri in DeltaTable(f"data/lake/{table}").file_uris()]

rows = duckdb.read_parquet(files)
stands = "SELECT * FROM rows QUALIFY row_number() OVER (PARTITION BY call_id ORDER BY revision DESC) = 1"
print(duckdb.sql(f"SELECT call_id, revision, outcome, cost_usd FROM ({stands}) ORDER BY call_id"))

frame = polars.read_parquet(files).sort("revision").unique("call_id", keep="last")
print(frame.select("call_id", "revision", "outcome", "cost_usd").sort("call_id"))
```

`rollups` holds nothing of its own: sums of the other two by hour and day, which upkeep makes and the views `calls_by_hour` and
`calls_by_day` use. Each names the files it was made from and counts only while these are live, so read the views, not its files.
Removing the folder costs only the time until it is made again.

Ratings, scores, properties given afterwards and what was said of sessions are in `feedback` alone; the view `calls` joins the newest of
each that is about a call. How other programs read all of it: [open-files.md](open-files.md).
"""


def events_page() -> str:
    """The page as it is, with what is between its marks written anew."""
    text = (HERE / "events.md").read_text()
    for mark, lines in {"topics": topic_lines(), "events": event_lines()}.items():
        before, _, rest = text.partition(f"<!-- {mark} -->\n")
        _, _, after = rest.partition(f"<!-- /{mark} -->")
        text = "\n".join([f"{before}<!-- {mark} -->", *lines, f"<!-- /{mark} -->"]) + after
    return text


WRITERS = {
    "llm.requests.v1": ("ingress", "sink"),
    "llm.responses.v1": ("ingress", "processors, sink"),
    "llm.feedback.v1": ("ingress", "processors, sink"),
    "llm.calls.v1": ("processors", "processors, sink, webhooks"),
    "llm.scored-calls.v1": ("processors", "whoever wants to"),
    "llm.dead-letters.v1": ("processors, sink, webhooks", "sink"),
    "heliograph.control.v1": ("Heliograph alone", "Heliograph alone"),
    "heliograph.prompts.v1": ("Heliograph alone", "Heliograph alone"),
    "heliograph.feedback-join.v1": ("Heliograph alone", "Heliograph alone"),
}
"""Of each topic: who writes it, who reads it."""


def topic_lines() -> list[str]:
    lines = ["| topic | events | key | partitions | cleanup | written by | read by |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for topic in (*TOPICS.values(), HELD):
        event = f"`{topic.event.__struct_config__.tag}`" if topic.event else ""
        key = "yes" if topic.compacted else "none"
        cleanup = "compact" if topic.compacted else "delete"
        partitions = "`HELIOGRAPH_KAFKA__PARTITIONS`" if topic.coupled else "any"
        lines.append(f"| `{topic.name}` | {event} | {key} | {partitions} | {cleanup} | {' | '.join(WRITERS[topic.name])} |")
    return lines


def event_lines() -> list[str]:
    lines: list[str] = []
    types: dict[str, Any] = {}
    for summary in summaries():
        schema = json.loads(schema_json(summary.name))
        types |= schema["$defs"]
        example = json.dumps(schema["examples"][0], ensure_ascii=False)
        lines += ["", f"### `{summary.event}` on `{summary.name}`", "", schema["description"], "", *field_lines(schema)]
        lines += ["", "```json", example, "```"]
    titles = {json.loads(schema_json(summary.name))["title"] for summary in summaries()}
    for title, schema in types.items():
        if title not in titles:
            about, *words = schema["description"].splitlines() if "enum" in schema else [schema["description"]]
            lines += ["", f"### {title}", "", about, ""]
            lines += [f"- {word}" for word in words] if words else field_lines(schema)
    return [*lines[1:], ""]


def field_lines(schema: Any) -> list[str]:
    lines = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in schema["properties"].items():
        default = f"`{json.dumps(field['default'])}`" if "default" in field else ""
        about = field.get("description", "Which event it is.").replace("\n", " ")
        lines.append(f"| `{name}` | {type_of(field)} | {default} | {about} |")
    return lines


def type_of(field: Any) -> str:
    match field:
        case {"$ref": str(reference)}:
            name = reference.rpartition("/")[2]
            return f"[{name}](#{ANCHORS.get(name, name.lower())})"
        case {"anyOf": [known, {"type": "null"}]}:
            return f"{type_of(known)} or null"
        case {"enum": [only]}:
            return f"`{only}`"
        case {"format": str(form)}:
            return form
        case {"type": "object", "additionalProperties": {"type": str(inner)}}:
            return f"map of {inner}"
        case {"type": str(kind)}:
            return kind
        case _:
            raise ValueError(f"no words for {field}")


ANCHORS = {
    topic.event.__name__: f"{topic.event.__struct_config__.tag}-on-{topic.name.replace('.', '')}"
    for topic in TOPICS.values()
    if topic.event
}
"""Where an event's own section is, as GitHub names it."""

PAGES = {"settings.md": settings_page, "cli.md": commands_page, "tables.md": tables_page, "events.md": events_page}


def main() -> None:
    for name, page in PAGES.items():
        (HERE / name).write_text(page())
        sys.stdout.write(f"docs/{name}\n")


if __name__ == "__main__":
    main()
