"""Which groups a token belongs to, groups inside groups resolved."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet


def closure(direct: Mapping[str, AbstractSet[str]], start: str) -> frozenset[str]:
    """Return every group that `start` belongs to, directly or through other groups.

    `direct` maps a member's token to the tokens of the groups that list it. Cycles end: each
    token is looked at once. `start` itself is in the result only where a cycle leads back to it.
    """
    return frozenset(token for token, path in paths(direct, start).items() if len(path) > 1)


def paths(direct: Mapping[str, AbstractSet[str]], start: str) -> dict[str, tuple[str, ...]]:
    """Return each token that `start` holds with a shortest path to it, `start` first.

    Equally short paths are settled by the order of the tokens, so equal directories explain
    alike. A path of one token is `start` itself.
    """
    found: dict[str, tuple[str, ...]] = {start: (start,)}
    looped = False
    queue = deque([start])
    while queue:
        member = queue.popleft()
        for group in sorted(direct.get(member, ())):
            if group == start and not looped:
                looped = True
                found[start] = (*found[member], start)
            elif group not in found:
                found[group] = (*found[member], group)
                queue.append(group)
    return found
