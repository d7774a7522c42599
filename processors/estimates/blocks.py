"""Where the APIs whose messages are made of blocks have their text: Anthropic's, Google's, and Bedrock's Converse.

Sources: the API references that the dialects of the same names cite (read 2026-11-24); of what is hidden: Anthropic "Extended thinking"
(Claude 4 and later show a summary, and bill the whole), Gemini API "Thinking" (what is shown are summaries; both read 2026-11-26).
"""

from processors.dialects.reading import part
from processors.estimates.pieces import Json, Pieces, Uncountable, json_text, needed, no_text, objects, refuse, summarizes, text


def anthropic_prompt(request: Json) -> Pieces:
    refuse(request, "mcp_servers", "container", "context_management")
    yield from _blocks(request.get("system"))
    for message in needed(request.get("messages"), "messages"):
        yield from _blocks(message.get("content"))
    for tool in objects(request.get("tools"), "tools"):
        if tool.get("type") not in (None, "custom"):
            raise Uncountable("tools: one of the provider's own")
        yield from json_text({name: tool.get(name) for name in ("name", "description", "input_schema")})


def anthropic_answer(answer: Json) -> Pieces:
    """Other makers' models answer in this shape too, and show all of their thinking."""
    blocks = list(needed(answer.get("content"), "content"))
    if summarizes(answer) and any(block.get("type") == "thinking" for block in blocks):
        raise Uncountable("content: thinking of which only a summary is shown")
    yield from _blocks(blocks)


def _blocks(value: object) -> Pieces:
    if isinstance(value, str):
        yield value
        return
    for block in objects(value, "content"):
        match block.get("type"):
            case "text":
                yield from text(block.get("text"), "content")
            case "thinking":
                yield from text(block.get("thinking"), "content")
            case "tool_use":
                yield from text(block.get("name"), "tool call")
                yield from json_text(block.get("input"))
            case "tool_result":
                yield from _blocks(block.get("content"))
            case _:
                raise no_text(block)


def gemini_prompt(request: Json) -> Pieces:
    refuse(request, "cachedContent", "cached_content")
    yield from gemini_parts(_either(request, "systemInstruction", "system_instruction"))
    for turn in needed(request.get("contents"), "contents"):
        yield from gemini_parts(turn)
    for tool in objects(request.get("tools"), "tools"):
        if tool.keys() - {"functionDeclarations", "function_declarations"}:
            raise Uncountable("tools: one of the provider's own")
        yield from json_text(_either(tool, "functionDeclarations", "function_declarations"))
    yield from json_text(part(_either(request, "generationConfig", "generation_config"), "responseSchema"))


def gemini_answer(answer: Json) -> Pieces:
    for candidate in needed(answer.get("candidates"), "candidates"):
        if candidate.get("groundingMetadata") is not None:
            raise Uncountable("the provider's own search took part")
        yield from gemini_parts(candidate.get("content"))


def gemini_parts(turn: object) -> Pieces:
    if isinstance(turn, str):
        yield turn
        return
    for item in objects(part(turn, "parts"), "parts"):
        if item.get("thought") is True:
            raise Uncountable("content: thinking of which only a summary is shown")
        if item.get("text") is not None:
            yield from text(item["text"], "parts")
            continue
        call = _either(item, "functionCall", "function_call") or _either(item, "functionResponse", "function_response")
        if not isinstance(call, dict):
            raise no_text(item)
        yield from text(call.get("name"), "tool call")
        yield from json_text(call.get("args") if call.get("response") is None else call["response"])


def _either(of: Json, name: str, other: str) -> object:
    """Google takes both spellings."""
    return of.get(other) if of.get(name) is None else of[name]


def converse_prompt(request: Json) -> Pieces:
    refuse(request, "promptVariables")
    yield from _converse_blocks(request.get("system"))
    for message in needed(request.get("messages"), "messages"):
        yield from _converse_blocks(message.get("content"))
    for tool in objects(part(request.get("toolConfig"), "tools"), "tools"):
        if "systemTool" in tool:
            raise Uncountable("tools: one of the provider's own")
        yield from json_text(tool.get("toolSpec"))


def converse_answer(answer: Json) -> Pieces:
    """Only Claude reasons here in parts that are shown, and of its newer models they are a summary."""
    message = part(answer.get("output"), "message")
    for block in needed(part(message, "content"), "content"):
        if "reasoningContent" in block:
            raise Uncountable("content: reasoning that may be a summary")
        yield from _converse_blocks([block])


def _converse_blocks(value: object) -> Pieces:
    for block in objects(value, "content"):
        name = next(iter(block), "")
        inner = block.get(name)
        match name:
            case "text":
                yield from text(inner, "content")
            case "json":
                yield from json_text(inner)
            case "toolUse":
                yield from text(part(inner, "name"), "tool call")
                yield from json_text(part(inner, "input"))
            case "toolResult":
                yield from _converse_blocks(part(inner, "content"))
            case "guardContent":
                yield from text(part(part(inner, "text"), "text"), "content")
            case "citationsContent":
                yield from _converse_blocks(part(inner, "content"))
            case "cachePoint":
                continue
            case _:
                raise no_text(block)
