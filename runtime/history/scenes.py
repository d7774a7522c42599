"""What is talked about in made-up calls: by feature, what is asked, and what a model says to it. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

Json = dict[str, Any]


class Tool(Struct, frozen=True):
    """A function that the model may call, and an argument of it."""

    name: str
    about: str
    argument: str


class Scene(Struct, frozen=True, kw_only=True):
    """One feature's talk. `{n}` in a text is a number of the call's own."""

    system: str
    asked: tuple[str, ...]
    said: tuple[str, ...]
    """Sentences; an answer is some of them, one after the other."""
    tool: Tool | None = None
    pictured: bool = False
    """The question has an image beside it."""
    thought: str | None = None
    whole: bool = False
    """An answer is one of the sentences and no more."""


SCENES: dict[str, Scene] = {
    "support-chat": Scene(
        system="You are the support assistant of Northwind. Answer briefly, and look orders up before you speak of them.",
        asked=(
            "Where is my order {n}? It should have been here on Monday.",
            "I was charged twice for invoice {n}. Can you check?",
            "How do I change the delivery address of order {n}?",
            "The lamp in order {n} arrived broken. I would like a new one.",
            "Can I still cancel order {n}?",
        ),
        said=(
            "I am sorry for the trouble, and thank you for telling us.",
            "Order {n} left our warehouse yesterday and is with the carrier now.",
            "You will get a message with a link as soon as it is out for delivery.",
            "The second charge was only reserved; your bank releases it within three days.",
            "I have noted the new address, and the parcel will go there.",
            "A replacement is on its way; there is no need to send the broken one back.",
            "If it is not with you by **Thursday**, write to us again and mention case {n}.",
            "Is there anything else I can do for you?",
        ),
        tool=Tool("look_up_order", "The state of an order.", "order"),
    ),
    "research-agent": Scene(
        system="You research markets. Plan first, search, read, then write. Cite every source that you use.",
        asked=(
            "What has changed in the market for heat pumps since last winter? Look at figure {n} first.",
            "Compare the three largest battery makers by capacity.",
            "Which ports had the longest queues this quarter, and why?",
            "Summarise what analysts expect of copper prices; source {n} is the newest.",
        ),
        said=(
            "## Findings\n\n",
            "Sales grew by 14 % against the same quarter a year ago, and prices fell for the second time in a row [1]. ",
            "Two makers have announced new plants, of 18 GWh and 24 GWh a year [2]. ",
            "The queue was longest in week 31, when a strike and a storm came together [3]. ",
            "Analysts disagree: the lowest estimate is 8,100 USD a tonne, the highest 11,400 [1][4]. ",
            "\n\n| maker | GWh | share |\n| --- | ---: | ---: |\n| A | 212 | 31 % |\n| B | 164 | 24 % |\n\n",
            "Source {n} contradicts this and is older, so I give it less weight. ",
            "What is still missing is the data of the last month. ",
        ),
        tool=Tool("search_web", "Pages that match a question.", "question"),
        thought="The question has two halves. I should find figures of this quarter first, then compare them with source {n}.",
    ),
    "code-review": Scene(
        system="You review changes. Name the file and the line, say what can go wrong, and propose the smallest fix.",
        asked=(
            "Review this change:\n```diff\n-    return rows[:limit]\n+    return rows[: limit + {n}]\n```",
            "Is this safe?\n```python\ndef total(items=[]):\n    items.append({n})\n    return sum(items)\n```",
            "What does this query miss?\n```sql\nSELECT user_id, count(*) FROM calls WHERE day > {n} GROUP BY 1\n```",
        ),
        said=(
            "`views.py`, line {n}: one row too many is returned when the page is full.\n\n",
            "The default list is made once and shared by all calls; use `None` and make it inside.\n\n",
            "```python\ndef total(items: list[int] | None = None) -> int:\n    return sum(items or [])\n```\n\n",
            "There is no test of an empty page. ",
            "The rest reads well. ",
            "The condition leaves out calls without a user; say so or count them apart. ",
        ),
        tool=Tool("read_file", "The text of a file.", "path"),
        thought="An off-by-one at the boundary, and a mutable default. I will check line {n} before I answer.",
    ),
    "classify-ticket": Scene(
        system="Answer with the queue that the ticket belongs to, as JSON.",
        asked=("Ticket {n}: I cannot log in since the update.", "Ticket {n}: please send the invoice again.", "Ticket {n}: 40 seats?"),
        said=('{"queue": "technical", "ticket": {n}}', '{"queue": "billing", "ticket": {n}}', '{"queue": "sales", "ticket": {n}}'),
        whole=True,
    ),
    "semantic-search": Scene(
        system="",
        asked=(
            "reset password after update",
            "refund policy for orders over {n} euros",
            "export calls as parquet",
            "invoice {n} missing VAT",
        ),
        said=("",),
    ),
    "summarise": Scene(
        system="Summarise for a reader who has one minute.",
        asked=(
            "Minutes of meeting {n}: the team looked at the numbers of the quarter, at the plan for the move, and at three applications.",
            "Report {n}: in the first half the plant ran at 92 % of its capacity. Two lines stood still for eleven days.",
        ),
        said=(
            "- The numbers of the quarter are as planned; costs are 3 % below.\n",
            "- The move is put off until the permit is there.\n",
            "- Of three applicants two are invited.\n",
            "- The plant ran at 92 %, with eleven days lost on two lines.\n",
            "- Report {n} asks for a decision by Friday.\n",
        ),
    ),
    "translate": Scene(
        system="Translate into {language}. Keep names, numbers and line breaks as they are.",
        asked=("The parcel with number {n} is ready to be collected.", "Please sign page {n} and send it back by Friday."),
        said=("Das Paket mit der Nummer {n} liegt zur Abholung bereit. ", "Bitte Seite {n} unterschreiben und bis Freitag zurücksenden. "),
    ),
    "invoice-extraction": Scene(
        system="Read the invoice and report number, date and total.",
        asked=("What are number, date and total of this invoice? Reference {n}.",),
        said=("Invoice {n}, dated 2026-03-14, total 1,284.50 EUR including 19 % VAT. ", "The due date is missing. "),
        tool=Tool("record_invoice", "Keeps an invoice's figures.", "number"),
        pictured=True,
    ),
}

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""An image, PNG in base64: one dot."""
TOKENS_A_SENTENCE = 22
LONGEST = 14
"""Sentences of the longest answer that is written out."""


class Said(Struct, frozen=True, kw_only=True):
    """One call's talk: who answers, what was asked and said, and what it counts. Each dialect writes it in its own shape."""

    model: str
    answers_as: str
    at_home: bool
    """The model runs on a server of one's own."""
    stream: bool
    scene: Scene
    number: int
    """Of the call's own."""
    asked: str
    text: str
    calls_tool: bool
    was_cut: bool
    earlier: bool
    """It is not the first call of its session: a question and an answer come before."""
    input: int
    output: int
    reasoning: int
    cache_read: int
    cache_write: int

    @property
    def system(self) -> str:
        return filled(self.scene.system, self.number)

    @property
    def arguments(self) -> Json:
        tool = self.scene.tool
        return {} if tool is None else {tool.argument: f"{self.number}"}

    @property
    def thought(self) -> str | None:
        return None if self.scene.thought is None else filled(self.scene.thought, self.number)

    @property
    def pieces(self) -> list[str]:
        """The text as it is streamed."""
        spoken = self.text.split(" ")
        return [" ".join(spoken[at : at + 5]) + (" " if at + 5 < len(spoken) else "") for at in range(0, len(spoken), 5)]


def filled(text: str, number: int) -> str:
    return text.replace("{n}", str(number)).replace("{language}", "German")


def answer(scene: Scene, tokens: int, pick: int) -> str:
    """About as long as so many tokens are."""
    sentences = 1 if scene.whole else max(1, min(LONGEST, tokens // TOKENS_A_SENTENCE))
    chosen = [scene.said[(pick + at) % len(scene.said)] for at in range(sentences)]
    joined = "".join(each if each.endswith((" ", "\n")) or scene.whole else f"{each} " for each in chosen)
    return filled(joined.strip(), pick)


def question(scene: Scene, pick: int) -> str:
    return filled(scene.asked[pick % len(scene.asked)], pick)


def written(told: Json) -> str:
    """As JSON text."""
    return msgspec.json.encode(told).decode()


def parameters(tool: Tool) -> Json:
    """Of the tool, as a JSON schema."""
    return {"type": "object", "properties": {tool.argument: {"type": "string"}}, "required": [tool.argument]}


def earlier_turns(said: Said) -> Sequence[tuple[str, str]]:
    """A question and what was said to it, before this call's own."""
    if not said.earlier:
        return ()
    before = said.number + 1
    return ((question(said.scene, before), answer(said.scene, TOKENS_A_SENTENCE * 2, before)),)
