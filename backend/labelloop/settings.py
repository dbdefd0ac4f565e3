"""Every setting, once: from ``LABELLOOP_*`` in the environment, else from ``labelloop.toml``, else the default here."""

from __future__ import annotations

import json
import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError as BadSource

from labelloop.errors import SettingsError

EngineName = Literal["encoder", "crossencoder", "cloze", "gliner", "causal", "remote"]
TaskName = Literal[
    "question_answering", "extraction", "translation", "summarisation", "dialogue", "generation", "people"
]
KindName = Literal[
    "classification", "entities", "relations", "extraction", "comparison", "ranking", "remarks",
    "question_answering", "translation", "summarisation", "dialogue", "generation",
]  # fmt: skip
Several = Literal["majority", "latest"]
Peft = Literal["lora", "dora", "ia3", "prompt_tuning", "prefix_tuning", "bottleneck", "bitfit", "full"]
_OWN_STARTER = frozenset({"auto", "encoder", "causal", "remote"})  # they need no model of their own


def _precise(value: Any) -> Any:
    number = math.nan if isinstance(value, bool) else value
    try:
        if number is None or 0 < float(number) <= 1:
            return value
    except (TypeError, ValueError):
        pass
    raise ValueError(f"must be a number above 0 and at most 1, such as 0.9, and is {value!r}")


def _leads_somewhere(renamed: dict[str, str]) -> dict[str, str]:
    for name in renamed:
        seen, last = [name], name
        while (last := renamed.get(last, "")) and last not in seen:
            seen.append(last)
        if last:
            raise ValueError(f"must lead to the names of today, and goes in a circle: {' > '.join([*seen, last])}")
    if empty := [name for name, now in renamed.items() if not (name.strip() and now.strip())]:
        raise ValueError(f"must map names to names, and one of {empty[0]!r}: {renamed[empty[0]]!r} is empty")
    return renamed


class Direction(BaseModel):
    """What a field is for, where its tag leaves that open, and what is wished of its suggestions. It may come from a
    project's owner (``extra_params`` of the model connection), so it names no models.

    ``task``: the task kind of a TextArea; "people" leaves the field to them. ``prompt``: a prompt of that task, such as
    "summarisation/v2". ``inputs``: names of the objects that it reads. ``instruction``: what to do, in a sentence or
    two. ``options``: named wishes, such as {"target_language": "German"} or {"words": "30"}. ``precision``: how many of
    the suggestions shall be right, as a share in (0, 1]; what is less sure is not suggested. None: all is suggested.
    ``renamed``: former names of labels, as they were stored, and what each is called now: {"Sci/Tech": "Technology"}.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskName | Literal[""] = ""
    prompt: str = ""
    inputs: tuple[str, ...] = ()
    instruction: str = ""
    options: dict[str, str] = {}
    precision: Annotated[float | None, BeforeValidator(_precise)] = None
    renamed: Annotated[dict[str, str], AfterValidator(_leads_somewhere)] = {}


class Beside(BaseModel):
    """A second engine, whose probabilities are averaged with the first's. ``weight``: its share, in [0, 1];
    ``labelloop ensemble fit`` finds it on labels. ``model``, ``revision``: as of ``Serving``. ``prompt``: one of that
    engine's prompts; "" for its usual one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: EngineName
    model: str = ""
    revision: str = ""
    prompt: str = ""
    weight: float = Field(0.5, ge=0, le=1)

    @model_validator(mode="after")
    def _has_a_model(self) -> Self:
        _check_model(self.engine, self.model, self.revision)
        return self


class Serving(BaseModel):
    """Which engine and model serve. ``revision``: as of ``encoder_revision``. "auto" chooses the engine by the task
    kind (``tasks`` says how); an encoder without a model of its own is the one of the setting ``encoder``, a causal
    model that of ``writer``, a remote one that of ``remote_model``. ``beside``: a second engine, where labels are
    chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: EngineName | Literal["auto"] = "auto"
    model: str = ""
    revision: str = ""
    beside: Beside | None = None

    @model_validator(mode="after")
    def _has_a_model(self) -> Self:
        _check_model(self.engine, self.model, self.revision)
        return self


def _check_model(engine: str, model: str, revision: str) -> None:
    if engine not in _OWN_STARTER and model in {"", "starter"}:
        raise ValueError(f"the engine {engine} needs a model: a Hugging Face id or a folder")
    if revision and not model:
        raise ValueError("a revision needs the model that it is of")


class FieldSetting(Direction, Serving):
    """A direction, and which engine and model serve the field."""


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


class Settings(BaseSettings):
    """All of LabelLoop's settings. The description of each is what ``labelloop doctor`` and the README show."""

    model_config = SettingsConfigDict(env_prefix="LABELLOOP_", extra="forbid", env_ignore_empty=True)

    data_dir: Annotated[Path, AfterValidator(_absolute)] = Field(
        Path("~/.labelloop"), description="where the embedded Redis, the SQLite store and adapters live"
    )
    database_url: str = Field("", description="SQLAlchemy URL of the store; empty: SQLite in data_dir")
    redis_url: str = Field("", description="Redis to use; empty: the embedded one that `labelloop up` starts")
    host: str = Field("127.0.0.1", description="address that the web process listens on")
    port: int = Field(9090, ge=1, le=65535, description="port that the web process listens on")
    public_url: str = Field("", description="how Label Studio reaches us; empty: http://localhost:<port>")
    require_key: bool = Field(True, description="refuse calls without a /k/<key> address (leave on outside a laptop)")

    label_studio_url: str = Field("", description="the Label Studio server, for `connect` and `preannotate`")
    label_studio_token: SecretStr = Field(SecretStr(""), description="a personal access token or legacy token for it")

    encoder: str = Field("starter", description='encoder model: "starter", a Hugging Face id, or a folder')
    encoder_revision: str = Field("", description="commit or tag of the Hugging Face id; empty: what is in the cache")
    writer: str = Field("starter", description='causal model that writes: "starter", a Hugging Face id, or a folder')
    writer_revision: str = Field("", description="commit or tag of the Hugging Face id; empty: what is in the cache")
    remote_url: str = Field(
        "", description="OpenAI-compatible server of the engine remote, such as http://host:8000/v1"
    )
    remote_model: str = Field("", description="name of the model there; empty: the first that it lists")
    remote_key: SecretStr = Field(SecretStr(""), description="key for it; empty: OPENAI_API_KEY, if set; never logged")
    remote_concurrency: int = Field(8, ge=1, le=256, description="requests that a worker sends there at once")
    remote_timeout_s: float = Field(60.0, gt=0, description="longest wait for one of its answers, seconds")
    remote_retries: int = Field(4, ge=0, le=20, description="how often it is asked again when it is down or busy")
    remote_tokens_per_day: int = Field(
        0, ge=0, description="most tokens a day (UTC) for all workers that share data_dir; 0: no limit"
    )
    remote_context: int = Field(
        0, ge=0, description="tokens that the model there reads with its reply; 0: as it says, else 8192"
    )
    fields: dict[str, FieldSetting] = Field(
        {}, description='task, engine and model of single fields, "*" for all others; JSON, or tables in the file'
    )
    kinds: dict[KindName, Serving] = Field(
        {}, description="engine and model of the fields of a task kind; JSON, or tables in the file"
    )
    cache_dir: Annotated[Path, AfterValidator(_absolute)] = Field(
        Path("~/.cache/labelloop"), description="where starter models lie once they are unpacked; safe to delete"
    )
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1", "mps"')
    quantize: Literal["", "8bit", "4bit"] = Field(
        "", description='"8bit" or "4bit": the writer takes less memory; needs the package bitsandbytes'
    )
    torch_threads: int = Field(0, ge=0, description="CPU threads of a worker; 0: torch's own choice")
    prompts_dir: str = Field("", description="folder whose <task>/<version>.yaml files go before the shipped ones")

    interactive_wait_s: float = Field(1.0, gt=0, description="longest wait of a /predict with one task, seconds")
    batch_wait_s: float = Field(50.0, gt=0, description="longest wait of a /predict with several tasks, seconds")
    max_waiting: int = Field(8, ge=1, description="requests that may wait at once; more are told to come back")
    web_threads: int = Field(16, ge=4, description="threads of the web process; must exceed max_waiting")
    max_body_mb: int = Field(64, ge=1, description="largest request body, MiB")
    max_tasks: int = Field(10_000, ge=1, description="most tasks of one /predict")
    max_depth: int = Field(64, ge=8, description="deepest nesting of a request's JSON")
    max_text_chars: int = Field(200_000, ge=1000, description="longest text that is scored; a longer one is skipped")
    micro_batch_ms: int = Field(
        100, ge=10, description="about how long a worker computes between looks for urgent work"
    )
    cache_ttl_s: int = Field(7 * 86400, ge=60, description="how long an answer stays in the cache, seconds")
    prior_sample: int = Field(200, ge=0, description="random tasks of a project that calibration may read")
    push_chunk: int = Field(250, ge=1, le=5000, description="tasks that one push job reads, scores and imports")
    freshen: int = Field(
        50, ge=0, le=500, description="tasks, of those that annotators see next, that are scored anew after a label"
    )
    refresh: bool = Field(True, description="train by itself: as labels grow by half, as agreement falls, by schedule")
    refresh_every: float = Field(
        0.0, ge=0, description="hours after which a control with new labels is trained again, however few; 0: never"
    )
    refresh_budget: float = Field(10.0, gt=0, description="longest training of one field, minutes")
    replay: int = Field(
        2000,
        ge=32,
        description="texts that a training learns from: the latest, and of each label half its even share",
    )
    adapter_memory: int = Field(512, ge=1, description="adapters that stand ready beside one model at most, MiB")
    peft: Peft = Field("lora", description="what is trained on a model: lora, dora, ia3, bottleneck, bitfit, full, ...")
    several: Several = Field(
        "majority", description='whose answer counts where several people label a task: "majority" or "latest"'
    )
    blind_share: float = Field(
        0.05, ge=0, le=0.5, description="share of tasks, in projects of more than 200, that get no suggestion; 0: none"
    )
    sync_s: int = Field(
        300, ge=0, description="how often Label Studio is asked for labels that no webhook brought, seconds; 0: never"
    )
    drain_s: float = Field(
        3.0, ge=0, le=600, description="how long a web process that is told to stop answers on, not ready, seconds"
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: Literal["text", "json"] = Field("text", description='"text", or "json": one object a line')

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @field_validator("public_url", "label_studio_url", "remote_url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @field_validator("remote_url")
    @classmethod
    def _without_secrets(cls, value: str) -> str:
        if "@" in urlsplit(value).netloc:
            raise ValueError(
                "must hold no user or password, as it is shown and logged; LABELLOOP_REMOTE_KEY is the key"
            )
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml_file = Path(os.environ.get("LABELLOOP_CONFIG", "labelloop.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file)

    def environment(self) -> dict[str, str]:
        """These settings as ``LABELLOOP_*`` variables, for a child process."""
        found: dict[str, str] = {}
        for name, value in self:
            if value != type(self).model_fields[name].get_default():
                plain = value.get_secret_value() if isinstance(value, SecretStr) else value
                if isinstance(value, dict):
                    plain = json.dumps({key: its.model_dump() for key, its in value.items()})
                found[f"LABELLOOP_{name.upper()}"] = str(plain)
        return found

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'labelloop.db'}"

    @property
    def backend_url(self) -> str:
        """The address that Label Studio is given, without key and trailing slash."""
        return self.public_url or f"http://localhost:{self.port}"

    @property
    def redis_note(self) -> Path:
        """The file in which a running ``labelloop up`` writes its embedded Redis's URL."""
        return self.data_dir / "redis.url"

    def find_redis_url(self) -> str:
        """The configured Redis, else the embedded one that is running.

        Raises:
            SettingsError: there is neither.
        """
        if self.redis_url:
            return self.redis_url
        if self.redis_note.is_file():
            return self.redis_note.read_text().strip()
        raise SettingsError(
            "No Redis is configured and no embedded one is running.",
            "Start `labelloop up` (it brings its own), or set LABELLOOP_REDIS_URL=redis://host:6379/0.",
        )


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings, read once.

    Raises:
        SettingsError: a value is missing or wrong; the message names each setting.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"{_named(e['loc'])}: {e['msg']}" for e in error.errors())
        raise SettingsError(
            f"Wrong settings: {wrong}.",
            "Correct the environment variable or labelloop.toml; `labelloop doctor` lists all.",
        ) from None
    except BadSource as error:
        raise SettingsError(
            f"Wrong settings: {error}.",
            'Tables such as LABELLOOP_FIELDS are JSON in the environment: {"topic": {"engine": "crossencoder", ...}}.',
        ) from None
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"labelloop.toml cannot be read: {error}.", "It must be TOML with one `name = value` a line."
        ) from None


def _named(place: tuple[int | str, ...]) -> str:
    """LABELLOOP_PORT; LABELLOOP_FIELDS topic engine."""
    return " ".join([f"LABELLOOP_{place[0]}".upper(), *map(str, place[1:])]) if place else "settings"
