"""Settings: the only reader of the environment.

Names are flat outside (`API_PORT`) and grouped inside (`settings.api.port`): each field's alias is
its variable. The process environment wins over `.env` in the working directory; empty means unset.
Everything is frozen and passed on; nothing here opens a file but `.env`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from limits import parse_many
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from orchestrator_worker import __version__
from orchestrator_worker.errors import ConfigurationError

SAMPLE_JWT_SECRET = "sample-secret-change-me-before-you-deploy-this"
MIN_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""An HMAC key shorter than its hash weakens it (RFC 7518, section 3.2)."""

Effort = Literal["low", "medium", "high", "xhigh", "max"]
PhaseSeconds = Annotated[float, Field(ge=1, le=270)]


def _rate(value: str) -> str:
    try:
        parse_many(value)
    except ValueError as error:
        raise ValueError("must be a rate such as 10/minute or 100/hour") from error
    return value


Rate = Annotated[str, AfterValidator(_rate)]


class _Group(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


class ApiSettings(_Group):
    """Where and as what the service listens."""

    host: str = Field(default="127.0.0.1", validation_alias="API_HOST")
    port: int = Field(default=8000, validation_alias="API_PORT", ge=0, le=65535)
    """0: any free port, which the start-up log names."""
    title: str = Field(default="Orchestrator Worker", validation_alias="API_TITLE", min_length=1)
    version: str = Field(default=__version__, validation_alias="API_VERSION", min_length=1)
    max_request_body_bytes: int = Field(
        default=1024**2, validation_alias="MAX_REQUEST_BODY_SIZE", ge=1024, le=32 * 1024**2
    )
    security_headers: bool = Field(default=True, validation_alias="ENABLE_SECURITY_HEADERS")


class ClaudeSettings(_Group):
    """How Claude is reached."""

    api_key: SecretStr | None = Field(default=None, validation_alias="ANTHROPIC_API_KEY")
    base_url: str | None = Field(
        default=None, validation_alias="ANTHROPIC_BASE_URL", pattern=r"^https?://[^/\s]+"
    )
    """Without `/v1`. None: Anthropic's own."""
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


class RoleSettings(_Group):
    """One agent's model and limits."""

    model: str
    max_tokens: int
    effort: Effort


class LeadSettings(RoleSettings):
    """The agent that answers or delegates."""

    model: str = Field(
        default="claude-sonnet-5-5", validation_alias="ORCHESTRATOR_MODEL", min_length=1
    )
    max_tokens: int = Field(
        default=8192, validation_alias="ORCHESTRATOR_MAX_TOKENS", ge=1, le=128_000
    )
    effort: Effort = Field(default="medium", validation_alias="ORCHESTRATOR_EFFORT")


class WorkerSettings(RoleSettings):
    """The agents that run subtasks."""

    model: str = Field(default="claude-haiku-5-5", validation_alias="WORKER_MODEL", min_length=1)
    max_tokens: int = Field(default=4096, validation_alias="WORKER_MAX_TOKENS", ge=1, le=128_000)
    effort: Effort = Field(default="low", validation_alias="WORKER_EFFORT")


class SynthesizerSettings(RoleSettings):
    """The agent that writes the answer from the results."""

    model: str = Field(
        default="claude-haiku-5-5", validation_alias="SYNTHESIZER_MODEL", min_length=1
    )
    max_tokens: int = Field(
        default=8192, validation_alias="SYNTHESIZER_MAX_TOKENS", ge=1, le=128_000
    )
    effort: Effort = Field(default="low", validation_alias="SYNTHESIZER_EFFORT")


class TierSettings(_Group):
    """The models behind the short names that plans, teams and the settings may use."""

    haiku: str = Field(default="claude-haiku-5-5", validation_alias="MODEL_HAIKU", min_length=1)
    sonnet: str = Field(default="claude-sonnet-5-5", validation_alias="MODEL_SONNET", min_length=1)
    opus: str = Field(default="claude-opus-5-5", validation_alias="MODEL_OPUS", min_length=1)


class RunSettings(_Group):
    """Deadlines (seconds) and caps of one run."""

    service_model_name: str = Field(
        default="orchestrator-worker", validation_alias="SERVICE_MODEL_NAME", min_length=1
    )
    coordination_timeout_seconds: PhaseSeconds = Field(
        default=45, validation_alias="WORKER_COORDINATION_TIMEOUT"
    )
    synthesis_timeout_seconds: PhaseSeconds = Field(
        default=30, validation_alias="SYNTHESIS_TIMEOUT"
    )
    direct_answer_timeout_seconds: PhaseSeconds = Field(
        default=270, validation_alias="DIRECT_ANSWER_TIMEOUT"
    )
    idle_timeout_seconds: PhaseSeconds = Field(default=60, validation_alias="STREAM_IDLE_TIMEOUT")
    """The longest silence of a Claude stream; its pings do not count as life."""
    max_subtasks: int = Field(default=20, validation_alias="MAX_SUBTASKS", ge=1, le=200)
    max_workers: int = Field(default=200, validation_alias="MAX_WORKERS_PER_RUN", ge=1, le=10_000)
    max_concurrent_workers: int = Field(
        default=16, validation_alias="MAX_CONCURRENT_WORKERS", ge=1, le=1000
    )
    max_workers_per_process: int = Field(
        default=256, validation_alias="MAX_WORKERS_PER_PROCESS", ge=1, le=10_000
    )
    """Workers in flight over all runs of this process."""


class AuthSettings(_Group):
    """How bearer tokens are signed."""

    secret: SecretStr | None = Field(default=None, validation_alias="JWT_SECRET_KEY")
    algorithm: Literal["HS256", "HS384", "HS512"] = Field(
        default="HS256", validation_alias="JWT_ALGORITHM"
    )


class RateLimitSettings(_Group):
    """Requests per window and principal (or address)."""

    enabled: bool = Field(default=True, validation_alias="RATE_LIMIT_ENABLED")
    default: Rate = Field(default="100/hour", validation_alias="RATE_LIMIT_DEFAULT")
    """For paths without a limit of their own."""
    chat_completions: Rate = Field(
        default="10/minute", validation_alias="RATE_LIMIT_CHAT_COMPLETIONS"
    )
    models: Rate = Field(default="60/minute", validation_alias="RATE_LIMIT_MODELS")


class LogSettings(_Group):
    """What is logged, and in which form."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", validation_alias="LOG_LEVEL"
    )
    format: Literal["json", "standard"] = Field(default="json", validation_alias="LOG_FORMAT")


class PathSettings(_Group):
    """Directories."""

    data: Path | None = Field(default=None, validation_alias="DATA_DIR")
    """Where the service keeps what it makes itself. None: see `Settings.data_dir`."""
    prompts: Path | None = Field(default=None, validation_alias="PROMPTS_DIR")
    """One folder per team. None: the teams that come with the package."""


class Settings(BaseSettings):
    """Everything the environment decides, checked as a whole."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
        env_file=".env",
        env_file_encoding="utf-8",
    )

    environment: Literal["development", "test", "production"] = Field(
        default="development", validation_alias="ENVIRONMENT"
    )
    api: ApiSettings = ApiSettings()
    claude: ClaudeSettings = ClaudeSettings()
    lead: LeadSettings = LeadSettings()
    worker: WorkerSettings = WorkerSettings()
    synthesizer: SynthesizerSettings = SynthesizerSettings()
    tiers: TierSettings = TierSettings()
    run: RunSettings = RunSettings()
    auth: AuthSettings = AuthSettings()
    rate_limits: RateLimitSettings = RateLimitSettings()
    log: LogSettings = LogSettings()
    paths: PathSettings = PathSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read flat variables into the groups; see the module's first lines."""
        return init_settings, _FlatVariables(settings_cls)

    @model_validator(mode="after")
    def _production_needs_secrets(self) -> Self:
        secret = self.auth.secret.get_secret_value() if self.auth.secret else ""
        least = MIN_SECRET_BYTES[self.auth.algorithm]
        if secret and secret != SAMPLE_JWT_SECRET and len(secret.encode()) < least:
            raise ValueError(
                f"JWT_SECRET_KEY: must have at least {least} bytes for {self.auth.algorithm}"
            )
        if self.environment != "production":
            return self
        if self.claude.api_key is None:
            raise ValueError("ANTHROPIC_API_KEY: must be set when ENVIRONMENT=production")
        if not secret:
            raise ValueError("JWT_SECRET_KEY: must be set when ENVIRONMENT=production")
        if secret == SAMPLE_JWT_SECRET:
            raise ValueError("JWT_SECRET_KEY: is the sample; make your own for production")
        return self

    @property
    def simulated(self) -> bool:
        """True when there is neither a key nor another server: the embedded simulator answers."""
        return self.claude.api_key is None and self.claude.base_url is None

    @property
    def data_dir(self) -> Path:
        """DATA_DIR, or the user's state directory (XDG base directory specification)."""
        if self.paths.data is not None:
            return self.paths.data
        state = os.environ.get("XDG_STATE_HOME")  # noqa: TID251 - this module is the reader
        root = Path(state) if state else Path.home() / ".local" / "state"
        return root / "orchestrator-worker"


class _FlatVariables(PydanticBaseSettingsSource):
    """The process environment over `.env`, folded into the nested groups by each field's alias."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Unused: `__call__` reads all fields at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        variables = {
            **_variables(DotEnvSettingsSource(self.settings_cls).env_vars),
            **_variables(EnvSettingsSource(self.settings_cls).env_vars),
        }
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            group = field.annotation
            if isinstance(group, type) and issubclass(group, _Group):
                found[name] = _pick(group, variables)
            elif (variable := _variable(field)) in variables:
                found[variable] = variables[variable]
        return found


def _variables(source: Mapping[str, str | None]) -> dict[str, str]:
    return {name.upper(): value for name, value in source.items() if value}


def _variable(field: FieldInfo) -> str:
    return field.validation_alias if isinstance(field.validation_alias, str) else ""


def _pick(group: type[_Group], variables: Mapping[str, str]) -> dict[str, str]:
    names = map(_variable, group.model_fields.values())
    return {name: variables[name] for name in names if name in variables}


def load_settings() -> Settings:
    """Read and check the environment.

    Raises:
        ConfigurationError: one line per mistake, each naming its variable and never its value.
    """
    try:
        return Settings()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f".env: is not UTF-8 (byte {error.start})") from error
    except ValidationError as error:
        raise ConfigurationError("\n".join(_mistakes(error))) from None


def _mistakes(error: ValidationError) -> list[str]:
    lines: list[str] = []
    for mistake in error.errors(include_url=False, include_context=False, include_input=False):
        variable = str(mistake["loc"][-1]) if mistake["loc"] else ""
        message = mistake["msg"].removeprefix("Value error, ")
        lines.append(f"{variable}: {message}" if variable else message)
    return lines


def variable_names() -> tuple[str, ...]:
    """Return every variable the service reads, in the order of the groups."""
    names: list[str] = []
    for field in Settings.model_fields.values():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, _Group):
            names += map(_variable, group.model_fields.values())
        else:
            names.append(_variable(field))
    return tuple(names)
