"""What all groups of settings share: their base, and the numbers that they take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


class SettingsGroup(BaseModel):
    """What all groups of settings share: frozen, no unknown keys, no values in pydantic's own messages."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True)


def no_boolean(value: object) -> object:
    """Refuse true and false where a number is wanted: to Python they are numbers."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number")
    return value


# PostgreSQL takes its timeouts in whole milliseconds, in 32 bits, and 0 turns them off.
TimeoutSeconds = Annotated[
    float, BeforeValidator(no_boolean), Field(ge=0.001, le=2_000_000, allow_inf_nan=False)
]
OptionalTimeoutSeconds = Annotated[
    float, BeforeValidator(no_boolean), Field(ge=0, le=2_000_000, allow_inf_nan=False)
]
PauseSeconds = Annotated[float, BeforeValidator(no_boolean), Field(ge=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(no_boolean), Field(ge=1, le=1_000_000)]
