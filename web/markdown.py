"""Markdown → HTML that is safe to put on a page.

* Raw HTML in the text shows as text; what is rendered is then cleaned against a list of allowed tags all the same.
* Nothing is loaded from elsewhere: an image becomes a link to it.
* Headings start at level 3, so that a text stays below the page's own headings.
* No attribute but a link's target survives: no style, class, id or event handler.

>>> rendered("# Hi <script>alert(1)</script>")
'<h3>Hi &lt;script&gt;alert(1)&lt;/script&gt;</h3>\\n'
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

MAX_TEXT: Final = 30_000  # hostile nesting costs the square of it
_TAGS: Final = frozenset([
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
])  # fmt: skip
_ATTRIBUTES: Final = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES: Final = frozenset({"http", "https", "mailto"})


@lru_cache(maxsize=256)
def rendered(text: str) -> str:
    """HTML of CommonMark with tables and strikethrough; a text over `MAX_TEXT` characters is cut there."""
    return _cleaned(_MARKDOWN.render(text[:MAX_TEXT]))


@lru_cache(maxsize=256)
def inline(text: str) -> str:
    """HTML of one line of Markdown: code, emphasis and links, but no block.

    >>> inline("the `sum` of <b>")
    'the <code>sum</code> of &lt;b&gt;'
    """
    return _cleaned(_MARKDOWN.renderInline(text[:MAX_TEXT]))


def _cleaned(html: str) -> str:
    return nh3.clean(
        html, tags=set(_TAGS), attributes={k: set(v) for k, v in _ATTRIBUTES.items()}, url_schemes=set(_SCHEMES),
        link_rel="nofollow noopener noreferrer ugc",
    )  # fmt: skip


def _image(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[at]
    label = self.renderInlineAsText(token.children or [], options, env) or "image"
    return f'<a href="{escapeHtml(str(token.attrs.get("src", "")))}">{escapeHtml(label)}</a>'


def _lower_headings(state: Any) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.core.ruler.push("lower_headings", _lower_headings)
    parser.add_render_rule("image", _image)
    return parser


_MARKDOWN: Final = _parser()
