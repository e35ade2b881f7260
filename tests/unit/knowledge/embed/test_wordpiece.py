"""Our WordPiece against the reference implementation, on text that is out to break it."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from staid.domain.errors import EmbedderBroken
from staid.knowledge.embed import wordpiece
from staid.knowledge.embed.wordpiece import END, START, UNKNOWN, tokenize

VOCABULARY = Path(wordpiece.__file__).parent / "vocabulary.txt"


def reference() -> Tokenizer:
    """Build the uncased BERT tokenizer of the `tokenizers` package from the same vocabulary."""
    lines = VOCABULARY.read_text("utf-8").split("\n")
    vocabulary = {token: number for number, token in enumerate(lines) if token}
    model = WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


REFERENCE = reference()


def _known_to_both(character: str) -> bool:
    # The reference carries an older Unicode table: what it does not know cannot be compared.
    if ord(character) < 0x2E43 and character not in "\u166d\u1734\u061d\u09fd\u0a76\u0c77\u0c84":
        return unicodedata.category(character) not in {"Mn", "Cf"} or ord(character) < 0x0700
    return unicodedata.category(character) in {"Lo", "Zs", "Ll", "Lu", "So", "Nd"}


NASTY = st.text(
    st.one_of(
        st.sampled_from(
            "aAzZ09 .,!?$%&'’-_()[]#@\t\n\r\x00\x0b\x1c\x85\ufffd\u200b\u00adéÅßİıﬁ日本語中한글"
        ),
        st.characters(exclude_categories=["Cs", "Cn"]).filter(_known_to_both),
    ),
    max_size=80,
)


@given(NASTY)
@example("Ünïcödé naïve café ﬁne İstanbul ǅ")
@example("don't e-mail a.b@c.de: $1,000.50 (±5%)")
@example("日本語とEnglish中文 mixed")
@example("a" * 100 + " " + "b" * 101 + " é" * 3)
@example("control\x00\x0b\x1cchars\u200bzero\u00adwidth")
@settings(max_examples=400, deadline=None)
def test_equals_the_reference(text: str) -> None:
    """Token by token the same ids as the reference, whatever the characters."""
    assert tokenize(text, 10_000)[1:-1] == REFERENCE.encode(text).ids


@given(NASTY, st.integers(2, 40))
@settings(deadline=None)
def test_limit_keeps_the_front(text: str, limit: int) -> None:
    """A limit cuts the tail and keeps both special tokens, never anything else."""
    whole, cut = tokenize(text, 10_000), tokenize(text, limit)
    assert len(cut) <= limit
    assert cut[0] == START
    assert cut[-1] == END
    assert cut[:-1] == whole[:-1][: limit - 1]


def test_nobody_writes_a_special_token() -> None:
    """Text that spells a special token stays ordinary text."""
    inside = tokenize("[SEP] and [CLS] and [UNK]", 100)[1:-1]
    assert not {START, END, UNKNOWN} & set(inside)


def test_lone_surrogates_are_dropped() -> None:
    """A broken character from a bad decoder neither raises nor leaves a token."""
    assert tokenize("re\udc80fund", 20) == tokenize("refund", 20)


def test_vocabulary_is_pinned() -> None:
    """The committed vocabulary is the one whose hash lies beside it, with its licence."""
    pinned = VOCABULARY.with_suffix(".txt.sha256").read_text("utf-8").split()[0]
    assert hashlib.sha256(VOCABULARY.read_bytes()).hexdigest() == pinned
    assert "Apache License" in (VOCABULARY.parent / "VOCABULARY-LICENSE").read_text("utf-8")


def test_another_vocabulary_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed vocabulary stops the embedder instead of shifting its vectors."""
    (tmp_path / "vocabulary.txt").write_text("[PAD]\nother\n", "utf-8")
    (tmp_path / "vocabulary.txt.sha256").write_text("0" * 64, "utf-8")
    monkeypatch.setattr(wordpiece, "__file__", str(tmp_path / "wordpiece.py"))
    with pytest.raises(EmbedderBroken, match="pinned"):
        wordpiece._vocabulary.__wrapped__()
