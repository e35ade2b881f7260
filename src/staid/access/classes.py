"""Classes: labels interned, so that rights are evaluated once per label and not per document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

from staid.access.scope import Scope
from staid.domain.label import Label


def visible(classes: Mapping[int, Label], scope: Scope) -> tuple[int, ...]:
    """Return exactly the classes that the scope may see, ascending by id."""
    return tuple(sorted(number for number, label in classes.items() if scope.permits(label)))


@lru_cache(maxsize=65536)
def label_of(key: str) -> Label:
    """Return the label whose `key` this is: what a class was interned by."""
    stored = json.loads(key)
    return Label.of(stored["allow"], stored["deny"])
