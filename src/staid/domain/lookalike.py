"""Names that a reader takes for each other: another alphabet, other widths, marks nobody sees."""

from __future__ import annotations

import unicodedata

_CYRILLIC = dict(zip("авеорсухіјѕԁһкмнтԛԝӏ", "abeopcyxijsdhkmhtqwl", strict=True))
_GREEK = dict(zip("αβενορτυχικϲ", "abevoptuxikc", strict=True))
_LATIN = {"ı": "i", "ɩ": "i", "ɡ": "g", "ł": "l", "ø": "o", "đ": "d"}
_SAME = str.maketrans(_CYRILLIC | _GREEK | _LATIN)
_UNSEEN = frozenset({"Mn", "Me", "Cf", "Cc"})


def skeleton(name: str) -> str:
    """Return what a name looks like: equal for names that a reader takes for each other.

    After UTS 39 section 4, with the letters that Latin shares with Cyrillic and Greek alone.
    """
    flat = unicodedata.normalize("NFKD", name).casefold()
    seen = "".join(each for each in flat if unicodedata.category(each) not in _UNSEEN)
    return unicodedata.normalize("NFKC", seen.translate(_SAME))


def alike(name: str, others: frozenset[str]) -> str | None:
    """Return which of the others a name is taken for, or None; itself is no other."""
    looks = skeleton(name)
    return next((one for one in sorted(others) if one != name and skeleton(one) == looks), None)
