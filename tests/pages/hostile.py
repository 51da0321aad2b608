"""Texts that would like to be more than text, and what a page is made of, to see that they are not."""

import itertools
from html.parser import HTMLParser

HIT = "hit()"
_TAGS = (
    f"<script>{HIT}</script>",
    "<script src=https://evil.example/x.js></script>",
    f"<img src=x onerror={HIT}>",
    f'<img src="x" onerror="{HIT}"',
    f"<svg onload={HIT}>",
    f"<svg/onload={HIT}//",
    f"<svg><script>{HIT}</script></svg>",
    f"<svg><animate onbegin={HIT} attributeName=x dur=1s>",
    f"<math><mtext><img src=x onerror={HIT}></mtext></math>",
    f'<iframe srcdoc="<script>{HIT}</script>"></iframe>',
    f"<iframe src=javascript:{HIT}>",
    f"<object data=javascript:{HIT}></object>",
    f"<embed src=javascript:{HIT}>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>*{display:none}</style>",
    "<form action=https://evil.example/><input name=csrf>",
    f"<button formaction=javascript:{HIT}>x</button>",
    f"<a href=javascript:{HIT}>x</a>",
    f"<details open ontoggle={HIT}>",
    f"<video><source onerror={HIT}></video>",
    f"<body onload={HIT}>",
    "<textarea>",
    "<plaintext>",
    "<!-- ",
    "<!doctype html>",
    "<?xml version='1.0'?>",
    "<![CDATA[",
    "<template shadowrootmode=open>",
    "<dialog open>",
    "<x-y>",
    "<0>",
)
_ENDS = (
    "",
    '"',
    "'",
    '">',
    "'>",
    "`>",
    "-->",
    "]]>",
    "</title>",
    "</textarea>",
    "</script>",
    "</style>",
    "</option></select>",
    "</noscript>",
    "</h2></article></li></ul>",
    "</main></body></html>",
    '\\"',
    "\n",
    "\u2028",
    "\ufeff",
)
_HANDLERS = (
    "onclick",
    "onfocus autofocus",
    "onmouseover",
    "onload",
    "onanimationstart",
    "ONERROR",
    "on\nload",
)
_QUOTES = (
    '" {} x="',
    "' {} x='",
    " {} ",
    "/{}/",
    '"\t{}\t',
    "`{}`",
    "&quot; {} x=&quot;",
    "&#34; {} x=&#34;",
)
_ADDRESSES = (
    "javascript:{}",
    "JaVaScRiPt:{}",
    "java\tscript:{}",
    "java\nscript:{}",
    " \x01javascript:{}",
    "javascript&colon;{}",
    "javascript&#58;{}",
    "data:text/html,<script>{}</script>",
    "data:text/html;base64,PHNjcmlwdD5oaXQoKTwvc2NyaXB0Pg==",
    "vbscript:{}",
    "//evil.example/{}",
    "\\\\evil.example\\{}",
    "view-source:{}",
    "blob:{}",
)
_ENTITIES = (
    "&lt;script&gt;{}&lt;/script&gt;",
    "&#60;script&#62;{}&#60;/script&#62;",
    "&#x3c;script&#x3e;{}&#x3c;/script&#x3e;",
    "&#x3cscript&#x3e{}",
    "&amp;lt;script&amp;gt;{}",
    "%3Cscript%3E{}%3C/script%3E",
    "\\u003cscript\\u003e{}\\u003c/script\\u003e",
    "\\x3cscript\\x3e{}",
    "&NewLine;&Tab;&lpar;{}",
    "&bogus;{}&",
)
_LETTERS = (
    "\uff1cscript\uff1e{}\uff1c/script\uff1e",  # full width
    "\u2039script\u203a{}",
    "\u02c2img onerror={}\u02c3",
    "<\u0130mg src=x onerror={}>",  # a letter that lower-cases into two
    "<\u017fcript>{}</\u017fcript>",  # a long s, which upper-cases into S
    "<scr\u00adipt>{}</scr\u00adipt>",
    "<scr\u200bipt>{}</scr\u200bipt>",
    "\u202e>tpircs<{}",  # right to left
    "\u2066{}\u2069<b>",
    "\u201c onload={} \u201d",
    "\u02ba onload={} \u02ba",
    "<\u000bscript>{}</script>",
    "<\u000cimg\u000csrc=x\u000conerror={}>",
    "<img\u00a0src=x\u00a0onerror={}>",
    "<img/src=x/onerror={}\u2029>",
    "\U000e0001<script>{}</script>",
    "<script\u0085>{}</script>",
    "A\u0338\u0338\u0338<b>{}</b>",
)
_TEMPLATES = (
    "{{{{ {} }}}}",
    "{{{{ 7 * 7 }}}}{}",
    '{{% include "base.html" %}}{}',
    "{{% raw %}}{}",
    "{{# {} #}}",
    "${{{}}}",
    "#{{{}}}",
    "<%= {} %>",
    "[[${{{}}}]]",
    "{{{{ words.__class__ }}}}{}",
    "{{{{ person | attr('claims') }}}}{}",
    "%(csrf)s{}",
    "$csrf {}",
    "{{0}} {}",
    "*{}*",
    "_{}_",
)


def hostile_texts() -> list[str]:
    """More than a thousand, none of them blank, each of them once."""
    found = [f"{end}{tag}" for end, tag in itertools.product(_ENDS, _TAGS)]
    shapes = (*_ADDRESSES, *_ENTITIES, *_LETTERS, *_TEMPLATES)
    found += [shape.format(HIT) for shape in shapes]
    found += [quote.format(f"{handler}={HIT}") for quote, handler in itertools.product(_QUOTES, _HANDLERS)]
    found += [
        f"{end}{shape.format(HIT)}"
        for end, shape in itertools.product(('"', "'>", "</title>", "-->"), shapes)
    ]
    return list(dict.fromkeys(found))


class _Skeleton(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append(f"<{tag} {' '.join(name for name, _ in attrs)}>")
        self.parts += [
            f"leads to {value}"
            for name, value in attrs
            if name in ("href", "src", "action", "formaction") and not (value or "").startswith("/")
        ]

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(f"</{tag}>")

    def handle_comment(self, data: str) -> None:
        self.parts.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.parts.append(f"declaration {decl}")

    def handle_pi(self, data: str) -> None:
        self.parts.append(f"instruction {data}")

    def unknown_decl(self, data: str) -> None:
        self.parts.append(f"unknown {data}")


def skeleton(page: str) -> list[str]:
    """What a page is made of: its elements with their attributes' names, its comments, and where it leads."""
    parser = _Skeleton()
    parser.feed(page)
    parser.close()
    return parser.parts
