"""Whether a text is HTML, the rule of promptfoo's is-html: elements, and no text outside of them.

html5lib builds the tree that a browser would (https://html.spec.whatwg.org/multipage/parsing.html), with nodes that
hold only what the rule needs. The output was written by a model, so three things differ from html5lib as it is:
looking for an open element does not walk through all of them, what would recurse does not, and a text that costs too
much ends in an error.
"""

from __future__ import annotations

import io
import time
from collections import Counter
from typing import Any, Final

from html5lib import HTMLParser
from html5lib.constants import namespaces
from html5lib.html5parser import getPhases
from html5lib.treebuilders.base import ActiveFormattingElements, TreeBuilder

from llmgate.errors import CannotRunError
from llmgate.suite.template import javascript

# ruff: noqa: N802, N803, N815 - html5lib's names
__all__ = ["TIME_LIMIT_S", "html_problem"]

TIME_LIMIT_S: Final = 3.0
"""Processor time of one text. A page of 1 MB takes about one second; only text made to be slow takes more than some."""
_MAX_NODES: Final = 200_000

_WRAPPERS: Final = frozenset({"html", "head", "body"})
"""Elements that a browser adds where a text has none; they count where the text has them."""
_ELEMENT_NAMES: Final = """
    a abbr address area article aside audio b base bdi bdo blockquote br button canvas caption cite code col
    colgroup data datalist dd del details dfn dialog div dl dt em embed fieldset figcaption figure footer form
    h1 h2 h3 h4 h5 h6 header hr i iframe img input ins kbd label legend li link main map mark math menu meta
    meter nav noscript object ol optgroup option output p param picture pre progress q rp rt ruby s samp script
    section select slot small source span strong style sub summary sup svg table tbody td template textarea
    tfoot th thead time title tr track u ul var video wbr
"""
_ELEMENTS: Final = frozenset(_ELEMENT_NAMES.split())
"""HTML's elements without the obsolete ones, as promptfoo lists them; every name with a hyphen counts too."""
_LATER_BLOCKS: Final = frozenset({"dialog", "search"})
"""Elements that end a paragraph and that html5lib does not know yet."""
_NO_LONGER_SPECIAL: Final = frozenset({"command", "isindex"})
_BODY: Final = (namespaces["html"], "body")
_IMPLIED_ENDS: Final = frozenset({"dd", "dt", "li", "optgroup", "option", "p", "rp", "rt"})

_Token = dict[str, Any]


class _Decided(Exception):  # noqa: N818 - not an error: the rest of the text changes nothing
    """The text outside of elements was found, or the text's own body."""

    def __init__(self, problem: str | None) -> None:
        super().__init__(problem)
        self.problem = problem


def html_problem(text: str) -> str | None:
    """Why a text is not HTML, None if it is.

    Raises:
        CannotRunError: If reading it takes too long.
    """
    text = javascript.trim(text)
    if not text:
        return "the output is empty"
    if text[:5].lower() == "<?xml":
        return "the output is XML"
    clock = _Clock()
    try:
        document = _Parser(clock).parse(_ClockedText(text, clock), scripting=True)
    except _Decided as decided:
        return decided.problem
    return None if _has_known_element(document) else "the output has no known HTML element"


def _has_known_element(document: _Node) -> bool:
    waiting = [document]
    while waiting:
        node = waiting.pop()
        name = node.name.lower()
        if node.is_written if name in _WRAPPERS else name in _ELEMENTS or "-" in name:
            return True
        waiting.extend(node.childNodes)
    return False


class _Clock:
    """Ends what takes too long."""

    def __init__(self) -> None:
        self.ends = time.thread_time() + TIME_LIMIT_S
        self.nodes = 0

    def check(self) -> None:
        if time.thread_time() > self.ends:
            raise CannotRunError(f"reading the output as HTML ran into its limit of {TIME_LIMIT_S:g} s")

    def count_node(self) -> None:
        self.check()
        self.nodes += 1
        if self.nodes > _MAX_NODES:
            raise CannotRunError(f"the output has more than {_MAX_NODES} HTML elements")


class _ClockedText(io.StringIO):
    """A text that is read in pieces, looking at the clock before each."""

    def __init__(self, text: str, clock: _Clock) -> None:
        # Line ends are html5lib's business.
        super().__init__(text, newline="")
        self.clock = clock

    def read(self, size: int | None = -1, /) -> str:
        self.clock.check()
        return super().read(size)


class _Node:
    """A node of the tree; of text it only knows whether there is any."""

    __slots__ = ("attributes", "childNodes", "has_text", "is_written", "name", "nameTuple", "namespace", "parent")

    def __init__(self, name: str, namespace: str | None = None) -> None:
        self.name = name
        self.namespace = namespace
        self.nameTuple = (namespace or namespaces["html"], name)
        self.attributes: dict[Any, str] = {}
        self.childNodes: dict[_Node, None] = {}
        self.parent: _Node | None = None
        self.has_text = False
        self.is_written = False
        """Whether the text has the element's start tag."""

    def appendChild(self, node: _Node) -> None:
        node.parent = self
        self.childNodes[node] = None

    def insertBefore(self, node: _Node, _: _Node) -> None:
        # The order of nodes tells nothing here.
        self.appendChild(node)

    def removeChild(self, node: _Node) -> None:
        del self.childNodes[node]
        node.parent = None

    def reparentChildren(self, newParent: _Node) -> None:
        for node in self.childNodes:
            newParent.appendChild(node)
        newParent.has_text = newParent.has_text or self.has_text
        self.childNodes = {}
        self.has_text = False

    def insertText(self, data: str, _: _Node | None = None) -> None:
        if self.nameTuple == _BODY and javascript.trim(data):
            raise _Decided("there is text outside of all elements")
        self.has_text = True

    def cloneNode(self) -> _Node:
        clone = _Node(self.name, self.namespace)
        clone.attributes = dict(self.attributes)
        return clone

    def hasContent(self) -> bool:
        return self.has_text or bool(self.childNodes)


class _OpenElements(list[_Node]):
    """The stack of open elements, which knows without looking through itself what is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: set[_Node] = set()
        self.names: Counter[tuple[str, str]] = Counter()

    def _enter(self, node: _Node) -> None:
        self.nodes.add(node)
        self.names[node.nameTuple] += 1

    def _leave(self, node: _Node) -> None:
        self.nodes.discard(node)
        self.names[node.nameTuple] -= 1

    def append(self, node: _Node) -> None:
        self._enter(node)
        super().append(node)

    def insert(self, index: Any, node: _Node) -> None:
        self._enter(node)
        super().insert(index, node)

    def pop(self, index: Any = -1) -> _Node:
        node = super().pop(index)
        self._leave(node)
        return node

    def remove(self, node: _Node) -> None:
        super().remove(node)
        self._leave(node)

    def __setitem__(self, index: Any, node: Any) -> None:
        self._leave(self[index])
        self._enter(node)
        super().__setitem__(index, node)

    def __contains__(self, node: object) -> bool:
        return node in self.nodes


class _Tree(TreeBuilder):  # type: ignore[misc]  # html5lib has no types
    documentClass = staticmethod(lambda: _Node("#document"))
    elementClass = _Node

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        super().__init__(namespaceHTMLElements=True)

    def reset(self) -> None:
        super().reset()
        self.openElements = _OpenElements()
        self.activeFormattingElements = ActiveFormattingElements()

    def insertComment(self, token: _Token, parent: _Node | None = None) -> None:
        """Nothing: the rule does not look at comments."""

    def insertDoctype(self, token: _Token) -> None:
        """Nothing: the parser keeps what follows from it."""

    def insertElementNormal(self, token: _Token) -> _Node:
        self.clock.count_node()
        element: _Node = super().insertElementNormal(token)
        # Only the tokenizer's tokens have this key, and not those that the parser makes up.
        element.is_written = "selfClosingAcknowledged" in token
        if element.is_written and element.nameTuple == _BODY:
            raise _Decided(None)
        return element

    def createElement(self, token: _Token) -> _Node:
        self.clock.count_node()
        element: _Node = super().createElement(token)
        return element

    def elementInScope(self, target: Any, variant: str | None = None) -> bool:
        name = (namespaces["html"], target) if isinstance(target, str) else target
        if isinstance(name, tuple) and not self.openElements.names[name]:
            return False
        self.clock.check()
        return bool(super().elementInScope(target, variant))

    def elementInActiveFormattingElements(self, name: str) -> Any:
        self.clock.check()
        return super().elementInActiveFormattingElements(name)

    def generateImpliedEndTags(self, exclude: str | None = None) -> None:
        self.clock.check()
        while (name := self.openElements[-1].name) in _IMPLIED_ENDS and name != exclude:
            self.openElements.pop()


class _BeforeHtml(getPhases(False)["beforeHtml"]):  # type: ignore[misc]  # html5lib has no types
    __slots__ = ()

    def processStartTag(self, token: _Token) -> Any:
        again = super().processStartTag(token)
        self.tree.openElements[0].is_written = token["name"] == "html"
        return again


class _InBody(getPhases(False)["inBody"]):  # type: ignore[misc]  # html5lib has no types
    __slots__ = ()

    def processStartTag(self, token: _Token) -> Any:
        if token["name"] in _LATER_BLOCKS:
            return self.startTagCloseP(token)
        if token["name"] in _NO_LONGER_SPECIAL:
            return self.startTagOther(token)
        return super().processStartTag(token)

    def processEndTag(self, token: _Token) -> Any:
        if token["name"] in _LATER_BLOCKS:
            return self.endTagBlock(token)
        return super().processEndTag(token)


class _Parser(HTMLParser):  # type: ignore[misc]  # html5lib has no types
    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        super().__init__(tree=lambda _: _Tree(clock))
        self.phases["beforeHtml"] = _BeforeHtml(self, self.tree)
        self.phases["inBody"] = _InBody(self, self.tree)

    def parseError(self, errorcode: str = "", datavars: object = None) -> None:
        """Forgets the error: finding its line takes long, and there may be one at every character."""
        del errorcode, datavars
        self.clock.check()
