"""Markdown → HTML that is safe to put on a page.

* Raw HTML in the text shows as text; what is rendered is then cleaned against a list of allowed tags all the same.
* Nothing is loaded from elsewhere: an image becomes a link to it.
* Headings start at level 3, so that a text stays below the page's own headings.
* Where `document` is used, the caller decides of every link and image whether it leads anywhere.
* No attribute of a text survives but a link's target and title: no style, class, id or event handler.
* A wide table scrolls by itself, also by keyboard.
* What is remembered for the next reader is bounded by texts and by their length.

>>> rendered("# Hi <script>alert(1)</script>")
'<h3>Hi &lt;script&gt;alert(1)&lt;/script&gt;</h3>\\n'
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

MAX_TEXT: Final = 30_000  # hostile nesting costs the square of it
MAX_BRACKETS: Final = 1000
"""Opening brackets of a text whose links and images are looked for: each is looked from to the end of the text."""
_TAGS: Final = frozenset([
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
])  # fmt: skip
_ATTRIBUTES: Final = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES: Final = frozenset({"http", "https", "mailto"})


def rendered(text: str) -> str:
    """HTML of CommonMark with tables and strikethrough; a text over `MAX_TEXT` characters is cut there."""
    return _blocks(_bounded(text))


def document(text: str, resolve: Callable[[str], str]) -> str:
    """As `rendered`, with each link and image leading to `resolve(target)`, or being only its text if that is empty.

    >>> document("[a](a.md) [b](b.md)", {"a.md": "/view/a.md", "b.md": ""}.__getitem__)
    '<p><a href="/view/a.md" rel="nofollow noopener noreferrer ugc">a</a> b</p>\\n'
    """
    return _cleaned(_MARKDOWN.render(_bounded(text), {"resolve": resolve}))


def inline(text: str) -> str:
    """HTML of one line of Markdown: code, emphasis and links, but no block.

    >>> inline("the `sum` of <b>")
    'the <code>sum</code> of &lt;b&gt;'
    """
    return _line(_bounded(text))


def _bounded(text: str) -> str:
    cut = text[:MAX_TEXT]
    return cut if cut.count("[") <= MAX_BRACKETS else cut.replace("[", "&#91;")


# Only what is rendered is remembered: of a long text, such as a preview's, the rest would stay in memory for nothing.
@lru_cache(maxsize=256)
def _blocks(text: str) -> str:
    return _cleaned(_MARKDOWN.render(text))


@lru_cache(maxsize=256)
def _line(text: str) -> str:
    return _cleaned(_MARKDOWN.renderInline(text))


def _cleaned(html: str) -> str:
    cleaned = nh3.clean(
        html, tags=set(_TAGS), attributes={k: set(v) for k, v in _ATTRIBUTES.items()}, url_schemes=set(_SCHEMES),
        link_rel="nofollow noopener noreferrer ugc",
    )  # fmt: skip
    # In clean HTML a tag stands for an element and nothing else: in text and attributes `<` is escaped.
    return cleaned.replace("<table>", _TABLE).replace("</table>", "</table></div>")


def _image(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[at]
    label = self.renderInlineAsText(token.children or [], options, env) or "image"
    source = str(token.attrs.get("src", ""))
    target = env["resolve"](source) if "resolve" in env else source
    return f'<a href="{escapeHtml(target)}">{escapeHtml(label)}</a>' if target else escapeHtml(label)


def _resolve_links(state: Any) -> None:
    """Give every link the target that it shall have, and make those that shall have none plain."""
    if "resolve" not in state.env:
        return
    opened: list[bool] = []
    for token in (child for block in state.tokens for child in block.children or ()):
        if token.type == "link_open":
            target = state.env["resolve"](str(token.attrs.get("href", "")))
            token.attrs["href"] = target
            opened.append(bool(target))
        if (token.type == "link_open" and not opened[-1]) or (token.type == "link_close" and not opened.pop()):
            token.type, token.tag, token.content = "text", "", ""


def _lower_headings(state: Any) -> None:
    """Put headings below the page's own (h1, h2), and each at most one level below the one it stands under."""
    above: list[int] = []
    for token in state.tokens:
        if token.type == "heading_open":
            level = int(token.tag[1])
            while above and above[-1] >= level:
                above.pop()
            above.append(level)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(2 + len(above), 6)}"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.core.ruler.push("lower_headings", _lower_headings)
    parser.core.ruler.push("resolve_links", _resolve_links)
    parser.add_render_rule("image", _image)
    return parser


_TABLE: Final = '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>'
_MARKDOWN: Final = _parser()
