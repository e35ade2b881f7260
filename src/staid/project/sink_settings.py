"""`[sinks.NAME]`: where finished runs go, and what of them may leave."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from staid.domain.errors import LabelInvalid
from staid.domain.label import Label

SinkKind: TypeAlias = Literal[
    "otlp", "file", "phoenix", "arize", "langfuse", "langsmith", "mlflow", "logfire"
]


class SinkSettings(BaseModel):
    """One destination of exports."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: SinkKind
    url: str | None = None
    """The receiver's base address; each kind in the cloud has one of its own."""
    path: str | None = None
    """Of `file`: where to write, in the project's folder. Of `otlp`: the path of its traces."""
    project: str | None = None
    """The receiver's project; of `mlflow` the number of the experiment."""
    key: str | None = None
    """The receiver's key, or `public:secret` of Langfuse. By reference: `env:NAME`, `file:PATH`."""
    space: str | None = None
    """Of `arize`: the space's id."""
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    """Further headers; values by reference."""
    content: Literal["full", "masked", "none"] = "masked"
    """Words as they are, with personal data masked, or none at all."""
    label: Any = None
    """Who reads the sink, as in a label file: passages whose label they satisfy go out whole."""
    passages: bool = False
    """Let every passage out, whatever its label."""
    passages_reason: str | None = None
    """Why; shown by `staid doctor`."""
    sample: float = Field(default=1.0, gt=0, le=1)
    """Share of runs that are exported; the same runs on every repeat."""
    environment: str | None = None
    timeout: float = Field(default=10.0, gt=0)

    @field_validator("label", mode="before")
    @classmethod
    def _label(cls, value: object) -> object:
        try:
            Label.parse(value)
        except LabelInvalid as error:
            raise ValueError(error.message) from error
        return value

    @field_validator("key")
    @classmethod
    def _key(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("env:", "file:")):
            message = "a key is a reference: env:NAME or file:PATH"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _complete(self) -> SinkSettings:
        for wanted, kinds in _NEEDED.items():
            if self.kind in kinds and not getattr(self, wanted):
                message = f"a sink of kind {self.kind} needs {wanted}"
                raise ValueError(message)
        if self.passages and not (self.passages_reason or "").strip():
            message = "passages = true needs passages_reason, which staid doctor shows"
            raise ValueError(message)
        return self

    @property
    def holds(self) -> Label | None:
        """Who reads the sink; None where nothing was declared."""
        return None if self.label is None else Label.parse(cast("object", self.label))


_NEEDED = {
    "url": {"otlp", "phoenix", "mlflow"},
    "path": {"file"},
    "project": {"mlflow", "arize", "langsmith"},
    "space": {"arize"},
    "key": {"arize", "langfuse", "langsmith", "logfire"},
}
