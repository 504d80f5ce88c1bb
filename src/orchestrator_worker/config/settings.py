"""What there is to set: names, ranges, defaults and what each is for.

Names are flat outside (`API_PORT`) and grouped inside (`settings.api.port`): each field's alias is
its variable, its docstring what people read of it (`variables.py`). Nothing here reads anything.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from limits import parse_many
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
)

from orchestrator_worker.errors import ConfigurationError

MIN_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""An HMAC key shorter than its hash weakens it (RFC 7518, section 3.2)."""

Effort = Literal["low", "medium", "high", "xhigh", "max"]
PhaseSeconds = Annotated[float, Field(ge=1, le=270)]
OutputTokens = Annotated[int, Field(ge=1, le=128_000)]
ModelName = Annotated[str, StringConstraints(pattern=r"^\S{1,200}$")]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


def _rate(value: str) -> str:
    try:
        parse_many(value)
    except ValueError as error:
        raise ValueError("must be a rate such as 10/minute or 100/hour") from error
    return value


def _split(value: object) -> object:
    """Return the parts of a text: separated by commas, or a JSON array."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return tuple(part for word in value.split(",") if (part := word.strip()))
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError("must be words separated by commas, or a JSON array of them") from error


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds characters that cannot be seen")
    return text


def _host(text: str) -> str:
    try:
        text.encode("idna")
    except UnicodeError as error:
        raise ValueError("must be an address or the name of a host") from error
    return text


def _base_url(text: str) -> str:
    parts = _http_url(text)
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    return text


def _origin(text: str) -> str:
    if text == "*":
        return text
    try:
        parts = _http_url(text)
        sound = parts.netloc == text.partition("://")[2] and not set(text) & set("@*")
    except ValueError:
        sound = False
    if not sound:
        raise ValueError("must be origins such as https://chat.example.com, without a path, or *")
    return text.lower()


def _http_url(text: str) -> SplitResult:
    """Return the parts of an http(s) URL.

    Raises:
        ValueError: it is none.
    """
    try:
        parts = urlsplit(text)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:  # UnicodeError is one
        sound, parts = False, urlsplit("")
    if not sound or not text.isprintable() or " " in text:
        raise ValueError("must be a URL such as https://gateway.example.com")
    return parts


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _tokens(words: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(_TOKEN.fullmatch, words)):
        raise ValueError("must be words as headers have them, separated by commas")
    return words


RATE = AfterValidator(_rate)
Rate = Annotated[str, RATE]
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(_printable)]
Host = Annotated[str, AfterValidator(_host)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Origin = Annotated[str, AfterValidator(_origin)]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_split)]
Tokens = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_tokens)]
"""As header fields have them: methods, names of headers, or `*` for all."""


class Group(BaseModel):
    """A part of the settings; the first line of its docstring is its heading for people."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


class ClaudeSettings(Group):
    """Claude."""

    api_key: SecretStr | None = Field(default=None, validation_alias="ANTHROPIC_API_KEY")
    """Your key. Without a key and an address an embedded simulator answers."""
    base_url: BaseUrl | None = Field(default=None, validation_alias="ANTHROPIC_BASE_URL")
    """Another server that speaks the Messages API, without `/v1`. Empty: Anthropic's own."""
    prompt_cache: bool = Field(default=True, validation_alias="PROMPT_CACHE")
    """Whether what calls have in common goes through Claude's prompt cache where that pays."""

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        # A copied key brings its line end along; anything else odd would fail every request.
        text = key.get_secret_value().strip() if key else ""
        if not text.isascii() or not text.isprintable():
            raise ValueError("holds characters that a header cannot carry")
        return SecretStr(text) if text else None


class ApiSettings(Group):
    """The HTTP API."""

    host: Host = Field(default="127.0.0.1", validation_alias="API_HOST")
    """The address to listen on; 0.0.0.0 for all."""
    port: int = Field(default=8000, validation_alias="API_PORT", ge=0, le=65535)
    """0 picks a free port, which the start-up log names."""
    title: Text = Field(default="Orchestrator Worker", validation_alias="API_TITLE")
    """The title of the API's description at `/docs` and `/openapi.json`."""
    version: Text | None = Field(default=None, validation_alias="API_VERSION")
    """The version in the API's description. Empty: the service's own."""
    service_model_name: ModelName = Field(
        default="orchestrator-worker", validation_alias="SERVICE_MODEL_NAME"
    )
    """What callers put into `model` for the default team."""
    docs: bool = Field(default=True, validation_alias="ENABLE_DOCS")
    """Whether `/docs` and `/openapi.json` are served."""
    max_request_body_bytes: int = Field(
        default=10 * 1024**2, validation_alias="MAX_REQUEST_BODY_SIZE", ge=1024, le=32 * 1024**2
    )
    """Bytes; a larger request is refused with 413. Pictures and files are part of the body."""
    security_headers: bool = Field(default=True, validation_alias="ENABLE_SECURITY_HEADERS")
    """Whether responses carry the usual security headers."""


class CorsSettings(Group):
    """Browsers on other origins (CORS)."""

    origins: Origins = Field(default=(), validation_alias="CORS_ORIGINS")
    """Origins whose pages may call the API, such as `https://chat.example.com`, separated by
    commas; `*` for any. Empty: none.
    """
    allow_credentials: bool = Field(default=False, validation_alias="CORS_ALLOW_CREDENTIALS")
    """Whether such pages may send cookies. The API needs none; refused together with `*`."""
    allow_methods: Tokens = Field(default=("*",), validation_alias="CORS_ALLOW_METHODS")
    """Methods they may use, separated by commas; `*` for all."""
    allow_headers: Tokens = Field(default=("*",), validation_alias="CORS_ALLOW_HEADERS")
    """Headers they may send, separated by commas; `*` for all."""


class RoleSettings(Group):
    """One agent's model and limits."""

    model: str
    max_tokens: int
    effort: Effort


class LeadSettings(RoleSettings):
    """The lead, which answers or delegates."""

    model: ModelName = Field(default="claude-sonnet-5-5", validation_alias="ORCHESTRATOR_MODEL")
    """A model id, or `haiku`, `sonnet` or `opus`."""
    max_tokens: OutputTokens = Field(default=8192, validation_alias="ORCHESTRATOR_MAX_TOKENS")
    """Its longest output, in tokens."""
    effort: Effort = Field(default="medium", validation_alias="ORCHESTRATOR_EFFORT")
    """How much it thinks."""


class WorkerSettings(RoleSettings):
    """The workers, which run subtasks."""

    model: ModelName = Field(default="claude-haiku-5-5", validation_alias="WORKER_MODEL")
    """A model id, or `haiku`, `sonnet` or `opus`."""
    max_tokens: OutputTokens = Field(default=4096, validation_alias="WORKER_MAX_TOKENS")
    """The longest output of each, in tokens."""
    effort: Effort = Field(default="low", validation_alias="WORKER_EFFORT")
    """How much each thinks."""


class SynthesizerSettings(RoleSettings):
    """The synthesizer, which writes the answer from the results."""

    model: ModelName = Field(default="claude-haiku-5-5", validation_alias="SYNTHESIZER_MODEL")
    """A model id, or `haiku`, `sonnet` or `opus`."""
    max_tokens: OutputTokens = Field(default=8192, validation_alias="SYNTHESIZER_MAX_TOKENS")
    """Its longest output, in tokens."""
    effort: Effort = Field(default="low", validation_alias="SYNTHESIZER_EFFORT")
    """How much it thinks."""


class TierSettings(Group):
    """The models behind the short names."""

    haiku: ModelName = Field(default="claude-haiku-5-5", validation_alias="MODEL_HAIKU")
    """What `haiku` means in plans, team files and the settings above."""
    sonnet: ModelName = Field(default="claude-sonnet-5-5", validation_alias="MODEL_SONNET")
    """What `sonnet` means there."""
    opus: ModelName = Field(default="claude-opus-5-5", validation_alias="MODEL_OPUS")
    """What `opus` means there."""


class RunSettings(Group):
    """Deadlines and caps of a run."""

    coordination_timeout_seconds: PhaseSeconds = Field(
        default=45, validation_alias="WORKER_COORDINATION_TIMEOUT"
    )
    """Seconds for lead and workers together."""
    synthesis_timeout_seconds: PhaseSeconds = Field(
        default=30, validation_alias="SYNTHESIS_TIMEOUT"
    )
    """Seconds for the synthesizer."""
    direct_answer_timeout_seconds: PhaseSeconds = Field(
        default=270, validation_alias="DIRECT_ANSWER_TIMEOUT"
    )
    """Seconds for an answer that the lead writes itself."""
    idle_timeout_seconds: PhaseSeconds = Field(default=60, validation_alias="STREAM_IDLE_TIMEOUT")
    """Seconds of silence after which a Claude stream counts as broken; its pings are silence."""
    max_subtasks: int = Field(default=20, validation_alias="MAX_SUBTASKS", ge=1, le=200)
    """Subtasks in a plan, as the lead writes them."""
    max_workers: int = Field(default=200, validation_alias="MAX_WORKERS_PER_RUN", ge=1, le=10_000)
    """Workers of a run, after lists have been taken apart."""
    max_concurrent_workers: int = Field(
        default=16, validation_alias="MAX_CONCURRENT_WORKERS", ge=1, le=1000
    )
    """Workers of a run at the same time."""
    max_workers_per_process: int = Field(
        default=256, validation_alias="MAX_WORKERS_PER_PROCESS", ge=1, le=10_000
    )
    """Workers at the same time, over all runs of this process."""


class RetrySettings(Group):
    """Retries of a failed call to Claude."""

    max_attempts: int = Field(default=3, validation_alias="RETRY_MAX_ATTEMPTS", ge=1, le=10)
    """Attempts of a call, the first included. No retry goes past its phase's deadline."""
    multiplier_seconds: float = Field(
        default=1, validation_alias="RETRY_EXPONENTIAL_MULTIPLIER", ge=0.5, le=5
    )
    """Seconds; the longest first pause, doubled for each further one. Each is drawn at random."""
    max_pause_seconds: float = Field(
        default=30, validation_alias="RETRY_EXPONENTIAL_MAX", ge=5, le=300
    )
    """Seconds; no pause is longer, unless Claude asks for a longer one."""


class AuthSettings(Group):
    """Bearer tokens."""

    secret: SecretStr | None = Field(default=None, validation_alias="JWT_SECRET_KEY")
    """Signs the tokens: at least 32 bytes (HS384: 48, HS512: 64). Empty: made once and kept in
    `DATA_DIR` (not in production).
    """
    algorithm: Literal["HS256", "HS384", "HS512"] = Field(
        default="HS256", validation_alias="JWT_ALGORITHM"
    )
    """How they are signed."""


class RateLimitSettings(Group):
    """Rate limits per caller."""

    enabled: bool = Field(default=True, validation_alias="RATE_LIMIT_ENABLED")
    """Whether there are any."""
    default: Rate = Field(default="100/hour", validation_alias="RATE_LIMIT_DEFAULT")
    """For paths without a limit of their own."""
    chat_completions: Rate = Field(
        default="10/minute", validation_alias="RATE_LIMIT_CHAT_COMPLETIONS"
    )
    """For `POST /v1/chat/completions`."""
    models: Rate = Field(default="60/minute", validation_alias="RATE_LIMIT_MODELS")
    """For `GET /v1/models`."""


class LogSettings(Group):
    """Logs."""

    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = Field(
        default="INFO", validation_alias="LOG_LEVEL"
    )
    """The least important events that are written."""
    format: Annotated[Literal["json", "standard"], BeforeValidator(_lower)] = Field(
        default="json", validation_alias="LOG_FORMAT"
    )
    """`json`: one object per event, for programs. `standard`: lines for people."""


class PathSettings(Group):
    """Directories."""

    data: Path | None = Field(default=None, validation_alias="DATA_DIR")
    """What the service makes itself, such as its token secret. Empty: the user's state directory,
    `~/.local/state/orchestrator-worker`.
    """
    prompts: Path | None = Field(default=None, validation_alias="PROMPTS_DIR")
    """One folder per team. Empty: the teams that come with the service."""


class Settings(Group):
    """The service."""

    environment: Literal["development", "test", "production"] = Field(
        default="development", validation_alias="ENVIRONMENT"
    )
    """Production refuses to start without a real key and a secret of your own."""
    claude: ClaudeSettings = ClaudeSettings()
    api: ApiSettings = ApiSettings()
    cors: CorsSettings = CorsSettings()
    auth: AuthSettings = AuthSettings()
    rate_limits: RateLimitSettings = RateLimitSettings()
    lead: LeadSettings = LeadSettings()
    worker: WorkerSettings = WorkerSettings()
    synthesizer: SynthesizerSettings = SynthesizerSettings()
    tiers: TierSettings = TierSettings()
    run: RunSettings = RunSettings()
    retry: RetrySettings = RetrySettings()
    log: LogSettings = LogSettings()
    paths: PathSettings = PathSettings()

    state_home: Path | None
    """Where the user's programs keep their state (XDG base directories), no variable of ours. None:
    the user has no home.
    """

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with the settings taken together: a variable, and why."""
        secret = self.auth.secret.get_secret_value() if self.auth.secret else ""
        algorithm = self.auth.algorithm
        least = MIN_SECRET_BYTES[algorithm]
        if secret and len(secret.encode()) < least:
            yield "JWT_SECRET_KEY", f"must have at least {least} bytes for {algorithm}"
        if self.cors.allow_credentials and "*" in self.cors.origins:
            yield "CORS_ALLOW_CREDENTIALS", "is refused with CORS_ORIGINS=*; name the origins"
        if self.environment == "production":
            if not secret:
                yield "JWT_SECRET_KEY", "must be set when ENVIRONMENT=production"
            if self.claude.api_key is None:
                yield "ANTHROPIC_API_KEY", "must be set when ENVIRONMENT=production"

    @property
    def simulated(self) -> bool:
        """True when there is neither a key nor another server: the embedded simulator answers."""
        return self.claude.api_key is None and self.claude.base_url is None

    @property
    def data_dir(self) -> Path:
        """DATA_DIR, or a directory of our own among the user's state.

        Raises:
            ConfigurationError: there is neither.
        """
        if self.paths.data is not None:
            return self.paths.data
        if self.state_home is None:
            raise ConfigurationError("DATA_DIR: must be set, for the user has no home directory")
        return self.state_home / "orchestrator-worker"
