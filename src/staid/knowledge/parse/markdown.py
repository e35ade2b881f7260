"""Markdown: headings to section paths, marks to the words they mark, code kept as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from staid.knowledge.parse.parsed import MAX_HEADING, Outline, Parsed, decode, line, row

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_FENCE = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})")
_META_KEY = re.compile(r"[\w-]+[ \t]*:")
_META_TITLE = re.compile(r"title[ \t]*:[ \t]*(.+)$", re.IGNORECASE)
_QUOTE = re.compile(r"\s{0,3}(?:> ?)+")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s")
_CODE = re.compile(r"(`[^`]*`)")
_LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(<?([^()<>\s]*)>?(?:\s+\"[^\"()]*\")?\)")
_REFERENCE = re.compile(r"(!?)\[([^\[\]]+)\]\[[^\[\]]*\]")
_STARS = re.compile(r"(?<![\w\\*])(\*{1,3})(?=[^\s*])([^*]+)(?<=\S)\1(?![\w*])")
_SCORES = re.compile(r"(?<![\w\\])(_{1,3})(?=[^\s_])([^_]+)(?<=\S)\1(?!\w)")
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|>~<$])")
_TAG = re.compile(
    r"</?(br|p|div|span|b|i|u|em|strong|small|sup|sub|a|img|center|details|summary|kbd|mark)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_PARTING = {"br", "p", "div"}
_UNSEEN = {
    "<!--": re.compile("-->"),
    "<script": re.compile("</script>", re.IGNORECASE),
    "<style": re.compile("</style>", re.IGNORECASE),
}
_OPENER = re.compile(r"<!--|<script(?=[\s>])|<style(?=[\s>])", re.IGNORECASE)
FRONT_MATTER_LINES = 200


def parse(document: str, data: bytes) -> Parsed:
    """Return title and sections of UTF-8 Markdown; raise `DocumentUnreadable`."""
    return parse_text(document, decode(document, data))


def parse_text(document: str, text: str, title: str | None = None) -> Parsed:
    """Return title and sections of Markdown; a given title wins over the document's own."""
    lines = text.split("\n")
    start, own = _front_matter(lines)
    outline = Outline(document, title or own)
    _read(outline, lines[start:])
    return outline.parsed()


def _front_matter(lines: list[str]) -> tuple[int, str | None]:
    """Return where the text begins and the title of the front matter, where there is one."""
    if lines[0].rstrip() != "---" or len(lines) < 3 or not _META_KEY.match(lines[1]):
        return 0, None
    title = None
    for number, text in enumerate(lines[1:FRONT_MATTER_LINES], 1):
        if text.rstrip() in {"---", "..."}:
            return number + 1, title
        found = _META_TITLE.match(text)
        if found and len(found.group(1)) <= MAX_HEADING:
            title = found.group(1).strip().strip("\"'")
    return 0, None


def _read(outline: Outline, lines: list[str]) -> None:
    paragraph: list[str] = []  # the lines since the last blank one: may turn out a heading
    for code, text in _seen(lines):
        if code:
            _write(outline, paragraph)
            outline.write(text)
        else:
            _ordinary(outline, paragraph, text)
    _write(outline, paragraph)


def _ordinary(outline: Outline, paragraph: list[str], text: str) -> None:
    heading = _HEADING.match(text)
    rule = set(text.strip())
    if heading:
        _write(outline, paragraph)
        outline.heading(len(heading.group(1)), _inline(_closed(heading.group(2) or "")))
    elif len(paragraph) == 1 and rule in ({"="}, {"-"}) and _may_head(paragraph[0]):
        outline.heading(1 if rule == {"="} else 2, _inline(paragraph.pop()))
    elif not rule:
        _write(outline, paragraph)
        outline.write("")
    elif not _drawn(text.strip(), rule):
        paragraph.append(text)


def _closed(heading: str) -> str:
    """Return the heading without the hashes that may close it."""
    bare = heading.rstrip()
    stripped = bare.rstrip("#")
    return stripped if stripped != bare and (not stripped or stripped[-1].isspace()) else bare


def _may_head(text: str) -> bool:
    return (
        len(text) <= MAX_HEADING
        and "|" not in text
        and not _ITEM.match(text)
        and not _QUOTE.match(text)
    )


def _drawn(text: str, characters: set[str]) -> bool:
    """Whether the line only draws: a rule, or the border of a table."""
    if characters <= set("|:- ") and "-" in characters and "|" in characters:
        return True
    bare = text.replace(" ", "")
    return len(bare) > 2 and len(set(bare)) == 1 and bare[0] in "-*_"


def _write(outline: Outline, paragraph: list[str]) -> None:
    for text in paragraph:
        outline.write(_row(text) if text.lstrip().startswith("|") else _marked(text))
    paragraph.clear()


def _row(text: str) -> str:
    cells = text.strip().strip("|").replace("\\|", "\x00").split("|")
    return row(line(_inline(cell.replace("\x00", "|"))) for cell in cells)


def _marked(text: str) -> str:
    quote = _QUOTE.match(text)
    return _inline(text[quote.end() :] if quote else text).rstrip()


def _inline(text: str) -> str:
    """Return the words of a line: marks, tags and escapes gone, what stands in code as it is."""
    if not any(mark in text for mark in "`*_[<\\"):
        return text
    parts = _CODE.split(text)
    # Splitting by a group puts what it matched, the code, at the odd places.
    return "".join(part[1:-1] if i % 2 else _plain(part) for i, part in enumerate(parts))


def _plain(text: str) -> str:
    text = _TAG.sub(lambda tag: " " if tag.group(1).lower() in _PARTING else "", text)
    text = _REFERENCE.sub(r"\2", _LINK.sub(_link, text))
    for _ in range(2):  # emphasis within strong emphasis
        text = _SCORES.sub(r"\2", _STARS.sub(r"\2", text))
    return _ESCAPE.sub(r"\1", text)


def _link(match: re.Match[str]) -> str:
    image, text, target = match.groups()
    return text if image else linked(text, target)


def linked(text: str, target: str) -> str:
    """Return the text of a link, with its address where the text does not already say it."""
    address = target.removeprefix("mailto:")
    informative = target.startswith(("http://", "https://", "mailto:")) and address not in text
    if not informative:
        return text
    return f"{text} ({address})" if text.strip() else address


def _seen(lines: list[str]) -> Iterator[tuple[bool, str]]:
    """Yield the lines and whether they are code; comments, scripts and styles are left out."""
    unseen, fence = "", ""
    for text in lines:
        mark = None if unseen else _FENCE.match(text)
        if fence:
            fence = "" if text.strip().startswith(fence) else fence
            yield True, text
        elif mark:
            fence = mark.group(1)
            yield True, text
        else:
            visible, unseen = _visible(text, unseen)
            if visible.strip() or not text.strip():
                yield False, visible


def _visible(text: str, unseen: str) -> tuple[str, str]:
    """Return what a reader sees of a line, and what is still open at its end."""
    kept: list[str] = []
    at = 0
    while True:
        if unseen:
            end = _UNSEEN[unseen].search(text, at)
            if end is None:
                break
            at, unseen = end.end(), ""
        opener = _OPENER.search(text, at)
        if opener is None:
            kept.append(text[at:])
            break
        kept.append(text[at : opener.start()])
        at, unseen = opener.end(), opener.group().lower()
    return "".join(kept), unseen
