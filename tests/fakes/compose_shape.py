"""What a compose file may say, of the part of the Compose Specification that ours uses: each name is known, each value of the right kind.

A typing error in a name is what such files suffer from, and what Compose itself would refuse only where it runs.
"""

from typing import Any

Shape = dict[str, Any]

TEXT: Shape = {"type": "string", "minLength": 1}
COUNT: Shape = {"type": "integer", "minimum": 0}
TEXTS: Shape = {"type": "array", "items": TEXT, "minItems": 1, "uniqueItems": True}
SPAN: Shape = {"type": "string", "pattern": r"^(\d+h)?(\d+m)?(\d+s)?$", "minLength": 2}
BYTES: Shape = {"type": "string", "pattern": r"^\d+(b|k|m|g|kb|mb|gb)$"}


def exactly(needed: tuple[str, ...], /, **known: Shape) -> Shape:
    """An object of these properties and no others."""
    return {"type": "object", "properties": known, "required": list(needed), "additionalProperties": False}


def each(value: Shape) -> Shape:
    """An object of any names."""
    return {"type": "object", "additionalProperties": value, "minProperties": 1}


COMMAND: Shape = {"type": "array", "items": {"type": "string"}, "minItems": 1}
HEALTH = exactly(
    ("test", "interval", "timeout", "retries"),
    test={"type": "array", "items": {"type": "string"}, "minItems": 2, "prefixItems": [{"enum": ["CMD", "CMD-SHELL"]}]},
    interval=SPAN,
    timeout=SPAN,
    start_period=SPAN,
    retries=COUNT,
)
DEPLOY = exactly((), replicas=COUNT, resources=exactly((), limits=exactly((), memory=BYTES, cpus=TEXT)))
NEEDED = exactly(
    ("condition",),
    condition={"enum": ["service_started", "service_healthy", "service_completed_successfully"]},
    required={"type": "boolean"},
)
SERVICE = exactly(
    ("image",),
    image=TEXT,
    build=TEXT,
    cap_drop=TEXTS,
    command=COMMAND,
    depends_on=each(NEEDED),
    deploy=DEPLOY,
    env_file={"type": "array", "items": exactly(("path",), path=TEXT, required={"type": "boolean"})},
    environment=each({"type": ["string", "number"]}),
    healthcheck=HEALTH,
    init={"type": "boolean"},
    logging=exactly(("driver",), driver=TEXT, options=each(TEXT)),
    ports={"type": "array", "items": {"type": "string", "pattern": r"^[\d.]+:\d+:\d+$"}, "uniqueItems": True},
    profiles=TEXTS,
    pull_policy={"enum": ["always", "never", "missing", "build"]},
    read_only={"type": "boolean"},
    restart={"type": "string", "pattern": r"^(no|always|unless-stopped|on-failure(:\d+)?)$"},
    security_opt=TEXTS,
    stop_grace_period=SPAN,
    tmpfs=TEXTS,
    user=TEXT,
    volumes={"type": "array", "items": {"type": "string", "pattern": r"^[\w./-]+:/[\w./-]+(:ro|:rw)?$"}, "uniqueItems": True},
)
FILE: Shape = {
    **exactly(("services",), name=TEXT, services=each(SERVICE), volumes=each({"type": ["null", "object"]})),
    "patternProperties": {"^x-": {}},
}
