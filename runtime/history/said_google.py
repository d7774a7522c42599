"""Made-up talk as Google's Gemini has it. Shapes: Gemini API reference, `generateContent` and `streamGenerateContent`."""

from runtime.history.scenes import PIXEL, Json, Said, earlier_turns, parameters, written


def request(said: Said) -> Json:
    contents: list[Json] = []
    for asked, answered in earlier_turns(said):
        contents += [{"role": "user", "parts": [{"text": asked}]}, {"role": "model", "parts": [{"text": answered}]}]
    parts: list[Json] = [{"text": said.asked}]
    if said.scene.pictured:
        parts.append({"inlineData": {"mimeType": "image/png", "data": PIXEL}})
    contents.append({"role": "user", "parts": parts})
    body: Json = {"systemInstruction": {"parts": [{"text": said.system}]}, "contents": contents}
    if said.scene.tool is not None:
        tool = said.scene.tool
        body["tools"] = [{"functionDeclarations": [{"name": tool.name, "description": tool.about, "parameters": parameters(tool)}]}]
    return body


def _chunk(said: Said, parts: list[Json], finish: str | None, output: int) -> Json:
    thoughts = min(said.reasoning, output)
    usage: Json = {
        "promptTokenCount": said.input,
        "candidatesTokenCount": output - thoughts,
        "totalTokenCount": said.input + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": said.input}],
    }
    if said.cache_read:
        usage["cachedContentTokenCount"] = said.cache_read
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0} | ({} if finish is None else {"finishReason": finish})
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": said.answers_as, "responseId": f"r{said.number:08x}"}


def _parts(said: Said) -> list[Json]:
    if said.calls_tool and said.scene.tool is not None:
        return [{"functionCall": {"name": said.scene.tool.name, "args": said.arguments}}]
    return [{"text": said.text}]


def _finish(said: Said) -> str:
    return "MAX_TOKENS" if said.was_cut and not said.calls_tool else "STOP"


def answer(said: Said) -> Json:
    return _chunk(said, _parts(said), _finish(said), said.output)


def stream(said: Said) -> list[str]:
    """The counts come with each chunk, as far as it is."""
    spoken = _parts(said) if said.calls_tool else [{"text": piece} for piece in said.pieces]
    pieces = [[part] for part in (*spoken, {"text": ""})]
    last = len(pieces) - 1
    chunks = [_chunk(said, parts, _finish(said) if at == last else None, said.output) for at, parts in enumerate(pieces)]
    return [f"data: {written(chunk)}\r\n\r\n" for chunk in chunks]
