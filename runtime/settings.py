"""Every setting, once. Nothing else reads the environment; the other rooms receive values.

A setting is an environment variable `HELIOGRAPH_…` (groups are joined by `__`), or a line of `.env` in the working directory; the
environment wins.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from eventlog.kafka_config import Acks, Compression, Mechanism, Security
from eventlog.keys import Auth
from eventlog.lifetimes import MOST_DAYS, Span
from eventlog.operators import OperatorError
from eventlog.spill_state import SpillConfig
from ingress.config import AttemptLimits, ClientLimits, Durability, EmitterLimits, IngressConfig, RedisConfig
from ingress.upstream import Caps, TimeLimits
from processors.feedback import JoinLimits
from storage.config import SCHEME, S3Config, StorageConfig

PREFIX = "HELIOGRAPH_"
MARKS_KEPT = timedelta(days=30)
"""At the least: a spill may be drained weeks later."""


class Misconfigured(OperatorError):
    """The operator must change a setting; the message names it, and the fix."""

    retryable = False


class LogFormat(StrEnum):
    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UpstreamLimits(Group):
    connect_s: float = Field(10, gt=0, description="Seconds to connect to a provider, name resolution and TLS included.")
    first_byte_s: float = Field(900, gt=0, description="Seconds to wait for the first byte of an answer; reasoning models are slow.")
    idle_s: float = Field(300, gt=0, description="Seconds between two pieces of an answer.")
    pool_s: float = Field(30, gt=0, description="Seconds a call may wait for a free connection when all are busy.")
    keep_alive_s: float = Field(55, gt=0, description="Seconds an idle connection to a provider is kept for the next call.")
    connections: int = Field(256, gt=0, description="Open connections to one provider, for each worker.")
    waiting: int = Field(1024, ge=0, description="Calls that may wait for one of them; more are answered 503.")


class Clients(Group):
    head_s: float = Field(10, gt=0, description="Seconds for a request's headers to arrive.")
    keep_alive_s: float = Field(75, ge=1, description="Seconds an idle connection of a client is kept.")
    stalled_s: float = Field(300, gt=0, description="Seconds after which a client that takes nothing of its answer counts as gone.")


class Attempting(Group):
    retries: int = Field(10, ge=0, le=1000, description="Further tries that a call may ask for at most.")
    fallbacks: int = Field(10, ge=0, le=100, description="Targets that `Helicone-Fallbacks` may list at most.")
    total_s: float = Field(
        600, gt=0, description="Seconds for all tries of a call together, where retries or fallbacks are asked for, until an answer begins."
    )
    body_bytes: int = Field(
        16 << 20, gt=0, description="Bytes of a request body that can be sent again, or changed; a larger one is sent once."
    )


class Away(StrEnum):
    """What becomes of limits while Redis is away."""

    LOCAL = "local"
    REFUSE = "refuse"


class Caching(Group):
    bytes: int = Field(1 << 30, ge=1 << 20, description="Bytes of answers that are kept; what was asked for least lately goes first.")
    entry_bytes: int = Field(8 << 20, gt=0, description="Bytes of one answer; a larger one is passed on and not kept.")


class Sharing(Group):
    prefix: str = Field(
        "heliograph", pattern=r"^[A-Za-z0-9._:-]{1,64}$", description="Before all names there. Who shares it shares counts and answers."
    )
    timeout_ms: float = Field(
        250, gt=0, description="Milliseconds that a call waits for it at most; then it counts as away, until it is back."
    )
    away: Away = Field(
        Away.LOCAL, description="`local`: while it is away each machine counts by itself; `refuse`: calls with a limit are refused."
    )


class Emitting(Group):
    linger_ms: float = Field(20, ge=0, description="Milliseconds that a batch of events waits for more.")
    batch_bytes: int = Field(256 << 10, gt=0, description="Bytes at which a batch is closed at once.")
    waiting_bytes: int = Field(64 << 20, gt=0, description="Bytes of events that may wait in a worker while the log takes none.")
    patience_s: float = Field(2, gt=0, description="Seconds a call waits for the log under strict durability.")


class Sinking(Group):
    flush_seconds: float = Field(
        1.0, gt=0, description="Seconds that a row waits at most for its commit; 10 where `heliograph sink` runs alone."
    )
    flush_rows: int = Field(50_000, gt=0, description="Rows at which a commit is made at once.")
    flush_bytes: int = Field(8 << 20, gt=0, description="Bytes of waiting events at which a commit is made at once.")
    skip_expired: bool = Field(
        False,
        description="Go on behind messages that the log forgot before the lake had them, instead of stopping; they are lost, and counted.",
    )


class ObjectStore(Group):
    """What is unset is looked for where S3 clients look: `AWS_…` variables, profile, role of the machine."""

    endpoint_url: str | None = Field(None, description="Of a store that is not Amazon's: `https://minio.example:9000`.")
    region: str | None = Field(None, description="Its region.")
    access_key_id: str | None = Field(None, description="Who asks.")
    secret_access_key: SecretStr | None = Field(None, description="The secret that goes with it.")
    session_token: SecretStr | None = Field(None, description="Of temporary credentials.")


class LogKeeping(Group):
    hours: float = Field(168, gt=0, description="Hours that events stay on the embedded log once the lake has them.")
    bytes: int = Field(2 << 30, gt=0, description="Bytes of events, for each topic, that stay on the embedded log once the lake has them.")


class Retaining(Group):
    facts_days: int | None = Field(
        None, ge=1, le=MOST_DAYS, description="Days that calls and feedback stay in the lake, where `heliograph retention` says nothing."
    )
    bodies_days: int | None = Field(
        None, ge=1, le=MOST_DAYS, description="The same of bodies and dead letters: no more than facts. Unset: as long as facts."
    )


class Asking(Group):
    timeout_s: float = Field(30, gt=0, description="Seconds that a question may take.")
    rows: int = Field(100_000, gt=0, description="Rows of an answer; more are cut off, and the answer says so.")
    memory_bytes: int = Field(1 << 30, gt=0, description="Bytes of memory for all questions together; one answer may be a quarter of it.")
    at_once: int = Field(3, gt=0, description="Questions answered at the same time, each by a process of its own.")


class Kafka(Group):
    bootstrap_servers: str | None = Field(
        None, description="Brokers of a Kafka cluster, `host:port`, separated by commas. Set: every role works on Kafka."
    )
    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]*$", description="Before the name of every topic and consumer group of ours.")
    client_id: str = Field("heliograph", description="What the brokers' own logs and quotas call us.")
    security_protocol: Security = Field(Security.PLAINTEXT, description="`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.")
    sasl_mechanism: Mechanism = Field(Mechanism.SCRAM_SHA_512, description="`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`.")
    sasl_username: str = Field("", description="The user, over SASL.")
    sasl_password: SecretStr = Field(SecretStr(""), description="Its password.")
    oauth_token_file: Path | None = Field(None, description="OAUTHBEARER: a file that holds the token; read anew for every connection.")
    oauth_token_url: str | None = Field(None, description="OAUTHBEARER: where tokens are asked for, by client credentials (RFC 6749, 4.4).")
    oauth_client_id: str = Field("", description="OAUTHBEARER: who asks there.")
    oauth_client_secret: SecretStr = Field(SecretStr(""), description="OAUTHBEARER: its secret.")
    oauth_scope: str = Field("", description="OAUTHBEARER: the scope asked for, where the issuer wants one.")
    ca_file: Path | None = Field(None, description="Certificates (PEM) to trust the brokers by, instead of the built-in ones.")
    cert_file: Path | None = Field(None, description="Our own certificate (PEM), where the brokers ask for one.")
    key_file: Path | None = Field(None, description="Its key (PEM).")
    key_password: SecretStr | None = Field(None, description="The key's password.")
    compression: Compression = Field(Compression.ZSTD, description="`zstd`, `lz4`, `snappy`, `gzip` or `none`.")
    acks: Acks = Field(
        Acks.ALL, description="`all`: every replica in sync has a batch before it counts. `1`: the leader alone; may lose it."
    )
    partitions: int = Field(12, ge=1, le=10_000, description="Partitions of each topic of call events; all have equally many.")
    replication: int = Field(1, ge=1, description="Replicas of each topic that `topics create` makes.")
    min_insync_replicas: int = Field(1, ge=1, description="Replicas that must be in sync for a batch to be taken.")
    retention_hours: float = Field(168, gt=0, description="Hours that events stay on the topics.")
    retention_bytes: int = Field(-1, ge=-1, description="Bytes that each partition keeps at most; -1: no limit.")
    max_message_bytes: int | None = Field(
        None,
        gt=1 << 16,
        description="The largest message the topics take. Unset: what a body of HELIOGRAPH_BODY_LIMIT can become, written as JSON.",
    )
    acknowledged_ms: float = Field(500, gt=0, description="Milliseconds after which a batch that was not acknowledged goes to the spill.")
    request_timeout_s: float = Field(10, gt=0, description="Seconds that a broker may take to answer.")
    session_timeout_s: float = Field(10, ge=1, description="Seconds of silence after which a reader loses its partitions to another.")

    @field_validator("bootstrap_servers")
    @classmethod
    def _addresses(cls, value: str | None) -> str | None:
        wrong = [
            server
            for server in (value or "a").split(",")
            if not re.fullmatch(r"([^\s:\[\]]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", server.strip())
        ]
        if wrong:
            raise ValueError(f"{wrong[0].strip()!r} is no address of a broker; expected `host:port`, several separated by commas")
        return value


class Joining(Group):
    patience_hours: float = Field(24, gt=0, description="Hours that a judgement and its call may come apart and still leave together.")
    calls: int = Field(20_000, gt=0, description="Calls that are remembered for it, of each partition.")
    feedback: int = Field(20_000, gt=0, description="Judgements that are remembered, of each partition.")
    bytes: int = Field(
        16 << 20, ge=1 << 20, description="Bytes that they may take, packed, of each partition: half for calls, half for judgements."
    )


class Hooks(Group):
    attempt_s: float = Field(30, gt=0, description="Seconds that a webhook may take to answer, name resolution and TLS included.")
    give_up_s: float = Field(3600, gt=0, description="Seconds that a message is tried for, ever less often; then it is a dead letter.")
    at_once: int = Field(8, ge=1, le=1000, description="Messages that are sent to one webhook at the same time.")
    waiting: int = Field(
        10_000, ge=1, description="Messages that may wait for one webhook, about a kilobyte each; more are dead letters at once."
    )
    alerts_every_s: float = Field(30, gt=0, description="Seconds between two looks at what alerts measure.")


class Spilling(Group):
    dir: Path | None = Field(None, description="Where events wait while Kafka takes none. Unset: `spill` in the data directory.")
    bytes: int = Field(
        4 << 30, gt=1 << 20, description="Bytes that wait there at most; then bodies are dropped, and facts go on for a quarter more."
    )
    most_days: float = Field(
        21, gt=0, description="Days after which what an ended run left there is kept aside instead of sent: the lake knows a repeat for 30."
    )


Names = Annotated[tuple[str, ...], NoDecode]
"""Separated by commas."""


class Settings(BaseSettings):
    """What an operator may say. `settings()` reads it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address that both ports listen on. The default serves `localhost` over IPv4 and IPv6.")
    port: int = Field(8787, ge=0, le=65535, description="Port of everything that enters: the proxy.")
    api_port: int = Field(8585, ge=0, le=65535, description="Port of everything that is asked: SQL, REST, the OpenAPI page.")
    workers: int = Field(1, ge=1, le=256, description="Proxy processes; one uses about one core.")
    data_dir: Path = Field(Path("data"), description="Where the event log and the lake lie.")
    lake_uri: str | None = Field(
        None, description="Where the lake lies, when not in the data directory: a directory, or `s3://bucket/path`."
    )
    s3: ObjectStore = Field(ObjectStore(), description="The object store of an `s3://` lake.")
    auth: Auth | None = Field(
        None,
        description="`open`: any key or none is accepted. `required`: a good key is. `permissive`: a call without one is forwarded and not "
        "kept. Unset: open until there is a first key, then required; beyond this machine, a first key must be there.",
    )
    vault_secret: SecretStr | None = Field(
        None,
        description="By which providers' keys are sealed that `heliograph provider-keys` keeps, the same for every ingress; and links are "
        "signed that open bodies of calls and prompts for a day. Without it links end with the process that made them.",
    )
    public_url: str | None = Field(
        None,
        description="Where others find the query port, for links in answers: `https://llm.example`. Unset: as each request found it.",
    )
    api_key: SecretStr | None = Field(
        None, description="The Heliograph key that `heliograph query` asks with, and `heliograph import` brings calls with."
    )
    durability: Durability = Field(
        Durability.BUFFERED,
        description="`buffered`: a kill -9 of a proxy may lose its last 20 ms of events. `strict`: a call waits for the log instead.",
    )
    allowed_hosts: Names = Field((), description="Host names besides loopback that requests may name: `a.example`, `*.b.example`, `*`.")
    allowed_origins: Names = Field((), description="Web origins whose pages may use both ports: `https://app.example`.")
    upstreams: dict[str, str] = Field(
        {},
        description="Base URL of a provider: `HELIOGRAPH_UPSTREAMS__OPENAI=http://127.0.0.1:9000`. A new name makes a new route: "
        "`HELIOGRAPH_UPSTREAMS__MINE` is reached at `/mine/…`. Calls of the names `ollama`, `vllm`, `lmstudio`, `llamacpp` and `localai` "
        "cost 0: they run on hardware of your own.",
    )
    allow_private_targets: bool = Field(False, description="Whether `Helicone-Target-URL` may lead to private addresses.")
    target_hosts: Names = Field((), description="Hosts that callers may name as targets when calls leave through an outgoing HTTP proxy.")
    ca_file: Path | None = Field(None, description="Certificates (PEM) to trust for providers besides the well-known ones.")
    body_limit: int = Field(8 << 20, ge=1024, description="Bytes of each decoded body that are kept; of a longer one, head and tail.")
    kafka: Kafka = Field(Kafka(), description="The cluster, when events travel over Kafka.")
    spill: Spilling = Field(Spilling(), description="Where events wait while Kafka takes none.")
    join: Joining = Field(Joining(), description="The feedback join.")
    webhooks: Hooks = Field(Hooks(), description="How webhooks are told of calls, and alerts watched.")
    call_deadline_s: float = Field(
        3600, gt=0, description="Seconds after which a call that began and never ended is written down as abandoned."
    )
    health_port: int = Field(
        8686,
        ge=0,
        le=65535,
        description="Port of `/healthz`, `/readyz` and `/metrics` of `heliograph processors`, `sink` and `webhooks run`.",
    )
    limits: UpstreamLimits = Field(UpstreamLimits(), description="Time limits towards providers.")
    clients: Clients = Field(Clients(), description="Limits towards clients.")
    attempts: Attempting = Field(Attempting(), description="How often a call may be made that asks for it.")
    cache: Caching = Field(Caching(), description="The cache of answers.")
    ledger_bytes: int = Field(
        256 << 20,
        ge=1 << 20,
        description="Bytes that the windows of rate limits may take; calls that cannot be counted for want of room pass.",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis or Valkey, where cache and limits of several machines are one: `redis://:PASSWORD@HOST:6379/0`, `rediss://…`.",
    )
    prices_file: Path | None = Field(
        None,
        description="Prices of your own, which count before the price list's (TOML). Unset: `prices.toml` in the data directory, if any.",
    )
    redis: Sharing = Field(Sharing(), description="How Redis is used.")
    emitter: Emitting = Field(Emitting(), description="How events are gathered on their way to the log.")
    sink: Sinking = Field(Sinking(), description="When rows are committed to the lake.")
    log: LogKeeping = Field(LogKeeping(), description="What the embedded log keeps.")
    retention: Retaining = Field(Retaining(), description="How long rows stay in the lake.")
    query: Asking = Field(Asking(), description="What a question may cost.")
    shutdown_s: float = Field(30, gt=0, description="Seconds that calls in flight and events under way have to end at shutdown.")
    log_format: LogFormat = Field(LogFormat.AUTO, description="`text` or `json`; `auto`: text on a terminal.")
    log_level: LogLevel = Field(LogLevel.INFO, description="`debug`, `info`, `warning` or `error`.")

    @field_validator("allowed_hosts", "allowed_origins", "target_hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_hosts", "target_hosts")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if re.fullmatch(r"\*|(\*\.)?[^\s:/@?#*\[\]]+|\[?[0-9A-Fa-f:.]+\]?", name) is None:
                raise ValueError(f"{name!r} is no host name; expected `a.example`, without scheme, port or path")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/@?#*]+/?", origin, re.IGNORECASE) is None:
                raise ValueError(
                    f"{origin!r} is no web origin; expected `https://app.example`, with its port where it has one, without path"
                )
        return value

    @field_validator("lake_uri")
    @classmethod
    def _is_a_lake(cls, value: str | None) -> str | None:
        scheme = urlsplit(value or "").scheme
        if scheme not in {"", SCHEME} or (scheme == SCHEME and not urlsplit(value or "").netloc):
            raise ValueError("expected a directory, or s3://bucket/path")
        return value

    @field_validator("redis_url")
    @classmethod
    def _a_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            RedisConfig(url=value.get_secret_value())
        return value

    @field_validator("upstreams")
    @classmethod
    def _lower(cls, value: dict[str, str]) -> dict[str, str]:
        found = {name.lower(): url for name, url in value.items()}
        IngressConfig(upstreams=found)
        return found

    @property
    def loopback_only(self) -> bool:
        return self.host == "localhost" or _is_loopback(self.host)

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "log"

    def shared_state(self) -> RedisConfig | None:
        """Where cache and limits are shared among machines, if anywhere."""
        if self.redis_url is None:
            return None
        return RedisConfig(url=self.redis_url.get_secret_value(), prefix=self.redis.prefix, timeout_s=self.redis.timeout_ms / 1000)

    @property
    def cache_dir(self) -> Path:
        return self.data_dir / "cache"

    @property
    def spill_dir(self) -> Path:
        return self.spill.dir or self.data_dir / "spill"

    @property
    def on_kafka(self) -> bool:
        return self.kafka.bootstrap_servers is not None

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    def ingress(self) -> IngressConfig:
        return IngressConfig(
            upstreams=self.upstreams,
            body_limit=self.body_limit,
            durability=self.durability,
            emitter=EmitterLimits(
                linger_s=self.emitter.linger_ms / 1000,
                batch_bytes=self.emitter.batch_bytes,
                waiting_bytes=self.emitter.waiting_bytes,
                patience_s=self.emitter.patience_s,
            ),
            clients=ClientLimits(
                head_s=self.clients.head_s,
                keep_alive_s=self.clients.keep_alive_s,
                stalled_s=self.clients.stalled_s,
                drain_s=self.shutdown_s,
            ),
            cache_entry_bytes=self.cache.entry_bytes,
            refuses_uncounted=self.redis_url is not None and self.redis.away is Away.REFUSE,
            attempts=AttemptLimits(**self.attempts.model_dump()),
        )

    def time_limits(self) -> TimeLimits:
        limits = self.limits
        return TimeLimits(
            connect_s=limits.connect_s,
            first_byte_s=limits.first_byte_s,
            idle_s=limits.idle_s,
            pool_s=limits.pool_s,
            keep_alive_s=limits.keep_alive_s,
        )

    def caps(self) -> Caps:
        return Caps(connections=self.limits.connections, waiting=self.limits.waiting)

    def storage(self) -> StorageConfig:
        return StorageConfig(
            lake_uri=self.lake_uri or str(self.data_dir / "lake"),
            s3=self.object_store(),
            flush_seconds=self.sink.flush_seconds,
            flush_rows=self.sink.flush_rows,
            flush_bytes=self.sink.flush_bytes,
            skip_expired=self.sink.skip_expired,
            mark_retention=max(MARKS_KEPT, 3 * max(self.kafka_retention(), self.log_max_age())),
            call_deadline=timedelta(seconds=self.call_deadline_s),
        )

    def kept_in_lake(self) -> Span:
        """How long rows stay where nothing else was decided. Raises Misconfigured."""
        it = self.retention
        span = Span(it.facts_days, it.bodies_days if it.bodies_days is not None else it.facts_days)
        if not span.sound:
            raise Misconfigured(
                f"HELIOGRAPH_RETENTION__BODIES_DAYS={span.bodies} is more than HELIOGRAPH_RETENTION__FACTS_DAYS={span.facts}:"
                " a body cannot stay longer than its call. Set it to as many or fewer."
            )
        return span

    def spilling(self) -> SpillConfig:
        return SpillConfig(
            directory=self.spill_dir,
            limit_bytes=self.spill.bytes,
            most_age=timedelta(days=self.spill.most_days),
            fsync=self.ingress().strict,
        )

    def join_limits(self) -> JoinLimits:
        it = self.join
        return JoinLimits(patience=timedelta(hours=it.patience_hours), calls=it.calls, feedback=it.feedback, bytes=it.bytes)

    def object_store(self) -> S3Config:
        secret, token = self.s3.secret_access_key, self.s3.session_token
        return S3Config(
            endpoint_url=self.s3.endpoint_url,
            region=self.s3.region,
            access_key_id=self.s3.access_key_id,
            secret_access_key=None if secret is None else secret.get_secret_value(),
            session_token=None if token is None else token.get_secret_value(),
        )

    def kafka_retention(self) -> timedelta:
        return timedelta(hours=self.kafka.retention_hours)

    def log_max_age(self) -> timedelta:
        return timedelta(hours=self.log.hours)


def settings() -> Settings:
    """The settings of this process. Raises Misconfigured naming the variable and the fix."""
    _check_names(os.environ)
    _check_names(dotenv_values(".env"), where=" (in .env)")
    try:
        found = Settings()
    except ValidationError as error:
        raise Misconfigured("\n".join(_told(each) for each in error.errors())) from None
    return found


def settings_by(**flags: Any) -> Settings:
    """The settings, flags first. Flags become environment, so that the processes we start see them too."""
    for name, value in flags.items():
        if value is not None:
            os.environ[f"HELIOGRAPH_{name.upper()}"] = str(value)
    return settings()


def variables() -> Iterator[tuple[str, Any, str]]:
    """Every setting: its variable, its default, what it is for."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Group):
            for inner, each in type(field.default).model_fields.items():
                yield f"{PREFIX}{name}__{inner}".upper(), each.default, each.description or ""
        else:
            yield f"{PREFIX}{name}".upper(), field.default, field.description or ""


def value_of(found: Settings, variable: str) -> Any:
    """What a variable of `variables` is set to."""
    value: Any = found
    for part in variable.removeprefix(PREFIX).lower().split("__"):
        value = getattr(value, part)
    return value


def origin_of(variable: str) -> str:
    """Where a setting's value comes from: `environment`, `.env` or `default`."""

    def said(names: Mapping[str, Any]) -> bool:
        return any(name.upper() == variable or (variable.endswith("UPSTREAMS") and name.upper().startswith(variable)) for name in names)

    if said(os.environ):
        return "environment"
    return ".env" if said(dotenv_values(".env")) else "default"


OF_CLIENTS = {f"{PREFIX}URL", f"{PREFIX}KEY"}
"""By these our clients know where Heliograph is, and by which key: often in the same environment."""


def _check_names(environment: Mapping[str, str | None], where: str = "") -> None:
    known = {variable for variable, _, _ in variables()}
    for name in environment:
        upper = name.upper()
        if upper.startswith(PREFIX) and upper not in known | OF_CLIENTS and not upper.startswith(f"{PREFIX}UPSTREAMS__"):
            close = difflib.get_close_matches(upper, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else " `heliograph settings` lists them all."
            raise Misconfigured(f"{name}{where} is no setting of Heliograph.{hint}")


def _told(error: Any) -> str:
    variable = PREFIX + "__".join(str(part) for part in error["loc"]).upper()
    if variable == f"{PREFIX}UPSTREAMS" and isinstance(error["input"], dict):
        return "\n".join(_wrong_upstreams(error["input"]))
    return f"{variable}: {error['msg'].removeprefix('Value error, ')} (got {str(error['input'])[:80]!r})"


def _wrong_upstreams(found: Mapping[str, str]) -> Iterator[str]:
    """Each by its own variable. What the URL holds is not said again: it may be a key."""
    for name, url in found.items():
        try:
            IngressConfig(upstreams={name.lower(): url})
        except ValueError as error:
            yield f"{PREFIX}UPSTREAMS__{name.upper()}: {str(error).partition(': ')[2]}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
