"""AWS event streams for tests, written independently of what reads them.

A stream is a list of lines of JSON, each one frame: `{"event": name, "payload": {…}}`, `{"chunk": {…}}` (an invocation's, in base64),
`{"exception": name, "payload": {…}}` or `{"error": code, "message": text}`.
"""

import base64
import json
import struct
import zlib
from typing import Any


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    coded = b"".join(
        struct.pack(f">B{len(name)}sBH", len(name), name.encode(), 7, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    lengths = struct.pack(">II", 16 + len(coded) + len(payload), len(coded))
    whole = lengths + struct.pack(">I", zlib.crc32(lengths)) + coded + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def event(name: str, payload: object) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(payload, separators=(",", ":")).encode())


def chunk(said: object) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(json.dumps(said).encode()).decode(), "p": "abcdefghijkl"})


def exception(name: str, payload: object) -> bytes:
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps(payload).encode())


def error(code: str, message: str) -> bytes:
    return frame({":error-code": code, ":error-message": message, ":message-type": "error"}, b"")


def stream_of(lines: str) -> bytes:
    """A case's `response.frames`."""
    return b"".join(_frame_of(json.loads(line)) for line in lines.splitlines() if line)


def _frame_of(line: dict[str, Any]) -> bytes:
    match line:
        case {"event": str(name)}:
            return event(name, line["payload"])
        case {"chunk": said}:
            return chunk(said)
        case {"exception": str(name)}:
            return exception(name, line["payload"])
        case {"error": str(code)}:
            return error(code, line["message"])
    raise ValueError(f"no frame: {line}")
