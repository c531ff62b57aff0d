"""The audience: the rule that chooses contacts. Pure: the rule and its checks; the SQL is in `storage.audience`.

A contact is in the audience when it is on one of `lists`, on none of `exclude_lists`, meets every condition of
`where`, and its address is not one that a message of `exclude_recipients_of` reached or may have reached.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

#: A JSON value as an operand of `where`.
Operand = str | int | float | bool | None | list[str | int | float | bool]


class Audience(BaseModel):
    """Which contacts. An audience without lists is nobody, never everybody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lists: tuple[str, ...] = ()
    where: dict[str, Operand | dict[str, Operand]] = Field(
        default_factory=dict, description='{"city": "Oslo"} or {"age": {"gte": 30, "lt": 40}}; all must hold.'
    )
    exclude_lists: tuple[str, ...] = ()
    exclude_recipients_of: tuple[str, ...] = Field((), description="Message ids.")
