"""HTML: what a reader sees, as sections; what a reader does not see, never."""

from __future__ import annotations

import pytest

from staid.domain.errors import DocumentUnreadable
from staid.knowledge.parse import html
from staid.knowledge.parse.parsed import Parsed


def read(text: str) -> Parsed:
    """Parse text as a file would be."""
    return html.parse("a.html", text.encode())


def body(text: str) -> str:
    """Return the text of the only section."""
    (section,) = read(text).sections
    return section.text


def test_page_to_sections() -> None:
    """Headings make paths, the first h1 is the title, lists and tables keep their lines."""
    parsed = read(
        "<!doctype html><html><head><title>Site - Refunds</title><style>no</style></head><body>"
        "<nav><a href=/>Home</a></nav><h1>Refunds</h1><p>Paid   in\n14 days.</p>"
        "<h2>Plans</h2><ul><li>Basic</li><li>Pro</li></ul>"
        "<table><tr><th>Plan</th><th>Price</th></tr><tr><td>Pro</td><td><p>$5</p></td></tr></table>"
        "</body></html>"
    )
    assert parsed.title == "Refunds"
    assert [(s.path, s.text) for s in parsed.sections] == [
        ((), "Paid in 14 days."),
        (("Plans",), "- Basic\n- Pro\n\n| Plan | Price |\n| Pro | $5 |"),
    ]


def test_title_element_where_no_heading() -> None:
    """Without an h1 the page's title element names the document."""
    assert read("<title>A &amp; B</title><p>x").title == "A & B"


@pytest.mark.parametrize(
    "unseen",
    [
        "<script>SECRET</script>",
        "<style>SECRET</style>",
        "<nav>SECRET<p>SECRET</nav>",
        "<template>SECRET</template>",
        "<noscript>SECRET</noscript>",
        "<div hidden>SECRET<div>SECRET</div>SECRET</div>",
        "<p hidden>SECRET<p>",
        "<span style='color:red; DISPLAY : none'>SECRET</span>",
        "<div style='visibility:hidden'><b>SECRET</b></div>",
        "<div aria-hidden=TRUE>SECRET</div>",
        "<!-- SECRET -->",
        "<ul><li hidden>SECRET<ul><li>SECRET</li></ul>SECRET</li></ul>",
        "<svg><title>SECRET</title><text>SECRET</text></svg>",
        "<h2 hidden>SECRET</h2>",
    ],
)
def test_unseen_text_never_comes_out(unseen: str) -> None:
    """Scripts, navigation and hidden elements give no text; what follows them does."""
    parsed = read(f"<p>before</p>{unseen}<p>after</p>")
    assert "SECRET" not in str(parsed)
    assert "before" in str(parsed)
    assert "after" in str(parsed)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>one<p>two", "one\n\ntwo"),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<a href='https://a.example/x'>here</a>", "here (https://a.example/x)"),
        ("<a href='/x'>here</a>", "here"),
        ("<p>a<br>b</p>", "a\nb"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<p>a<b>b</b>c &lt;d&gt; &eacute;</p>", "abc <d> é"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "| a | b |\n| c |"),
        ("<![if !x]>a<![endif]><![x[b]]>c", "ac"),
        ("</div></div>a</b>", "a"),
        ("<p>unclosed <b>bold", "unclosed bold"),
    ],
)
def test_sloppy_pages(source: str, text: str) -> None:
    """Left-out end tags, stray ones, word processors' declarations: read as a browser does."""
    assert body(source) == text


def test_links_in_cells_and_headings_lose_no_words() -> None:
    """A link that is still open where a block ends costs neither its words nor those before it."""
    parsed = read("<h2><a href='https://a.example'>Plans</a></h2><p>x <a href=y>open<p>next")
    assert parsed.sections[0].path == ("Plans (https://a.example)",)
    assert parsed.sections[0].text.split() == ["x", "open", "next"]


def test_deep_nesting_is_refused() -> None:
    """Elements nested deeper than any page are refused with the bound."""
    with pytest.raises(DocumentUnreadable, match="deeper than 512"):
        read("<div>" * 5000 + "x")
