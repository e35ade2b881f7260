"""How many names the lists of the extra `names` find, and what they take for one: printed.

Recall on people who are known by name in PrivacyLens, false alarms in texts without people, and
recall on names of a language whose own lists were left out. The last line is one JSON object.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from staid.adapters.names import LANGUAGES, listed_names
from staid.tracing.names import ListedNames

SENTENCES = ("Please refund {}, order 7.", "{} asked twice.", "The parcel of {} is late.")
EACH = 200


def rows(data: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one evaluation file."""
    with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def covered(find: ListedNames, text: str) -> set[int]:
    """Return every place of a text that would be masked."""
    return {place for start, end in find(text) for place in range(start, end)}


def known_people(find: ListedNames, data: Path) -> tuple[int, int]:
    """Return mentions of people whose names the rows say, and how many of them are found."""
    mentions = found = 0
    for row in rows(data, "privacylens"):
        named = (
            f"{row['seed'].get('data_sender_name', '')} {row['trajectory'].get('user_name', '')}"
        )
        names = {word for word in named.split() if len(word) > 2 and word[0].isupper()}
        for text in (row["vignette"]["story"], row["trajectory"].get("executable_trajectory", "")):
            masked = covered(find, text)
            for name in names:
                places = re.finditer(rf"(?<![\w@.]){re.escape(name)}(?!\w|@|\.\w)", text)
                for place in places:
                    mentions += 1
                    found += place.start() in masked
    return mentions, found


def false_alarms(find: ListedNames, data: Path) -> tuple[int, int]:
    """Return words of a bank's articles, which name nobody, and places that would be masked."""
    texts = [
        str(row.get("content") or row.get("text") or row) for row in rows(data, "tau2_banking_kb")
    ]
    return sum(len(text.split()) for text in texts), sum(len(find(text)) for text in texts)


def left_out(rng: random.Random) -> float:
    """Return the recall on given names of a language none of whose lists is loaded."""
    found = asked = 0
    for language in LANGUAGES:
        family = language[:2]
        find = listed_names([other for other in LANGUAGES if other[:2] != family])
        names = sorted(listed_names([language]).given)
        for _ in range(EACH):
            name = rng.choice(names)
            text = rng.choice(SENTENCES).format(name)
            asked += 1
            found += text.index(name) in covered(find, text)
    return found / asked


def main() -> int:
    """Measure and print."""
    data = os.environ.get("STAID_DATA")
    if not data:
        print("STAID_DATA names no folder of evaluation files: nothing was measured.")
        return 0
    import_module("faker")
    find, rng = listed_names(), random.Random(int(os.environ.get("STAID_SEED", "1")))
    mentions, found = known_people(find, Path(data))
    words, wrong = false_alarms(find, Path(data))
    unknown = left_out(rng)
    print(f"people named in PrivacyLens: {found} of {mentions} mentions found")
    print(f"a bank's articles: {wrong} places masked in {words} words")
    print(f"names of a language whose lists were left out: {unknown:.2f} found")
    told = {"recall": found / mentions, "alarms_per_1000_words": 1000 * wrong / words}
    print(json.dumps({**told, "recall_left_out": unknown}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
