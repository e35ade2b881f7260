"""`tau`: recorded runs of tau-bench: a simulated customer, an agent with tools, and a reward."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import cast

from staid.adapters.conversations.openai_messages import turns
from staid.domain.canonical import Json
from staid.domain.recorded import RecordedConversation, RowRefused

_CUSTOMER = re.compile(r"\b[a-z]+_[a-z]+_\d{3,5}\b")
"""A customer's id as the benchmark writes it: `mia_li_3668`."""


def parse(row: object, fields: Mapping[str, str]) -> RecordedConversation:
    """Return the conversation of one recorded run; its reward is a grade. Raises `RowRefused`."""
    if not isinstance(row, Mapping):
        raise RowRefused("a recorded run is an object")
    given = cast("Mapping[str, Json]", row)
    messages, reward = fields.get("messages", "messages"), given.get("reward")
    if reward is not None and (isinstance(reward, bool) or not isinstance(reward, int | float)):
        raise RowRefused("`reward` is not a number")
    if reward is not None and not isfinite(reward):
        raise RowRefused("`reward` is not finite")
    customer = _CUSTOMER.search(str(given.get("instruction", "")))
    return RecordedConversation(
        turns=turns(given.get(messages)),
        id=f"{given.get('task_id')}/{given.get('trial')}",
        asker=customer[0] if customer else None,
        metadata={key: value for key, value in given.items() if key != messages},
        grades={} if reward is None else {"reward": float(reward)},
    )
