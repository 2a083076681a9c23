"""XML elements in a text that need not be XML: which fragments are well-formed, and what they hold.

Fragments follow XML 1.0, fifth edition (https://www.w3.org/TR/xml/), without a document type: only the five predefined
entities exist, and a prefix needs no declaration. Nothing is expanded, fetched or recursed into, and every character
is looked at a bounded number of times.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Final

from llmgate.suite.template import javascript

__all__ = ["NAME_CHARACTERS", "NAME_STARTS", "Content", "XmlScan", "holds"]

Content = str | list["Content"] | dict[str, "Content"]
"""What an element holds, as promptfoo's paths see it: text alone, several elements of one name, or a mapping.

The keys of a mapping are elements, attributes (`@_id`), processing instructions (`?style`), and `#text` beside those.
The text itself is not kept.
"""

NAME_STARTS: Final = (
    "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
"""NameStartChar beyond ASCII."""
NAME_CHARACTERS: Final = "\u00b7\u0300-\u036f\u203f\u2040"
"""NameChar beyond ASCII, without those."""

_NAME: Final = f"[:A-Z_a-z{NAME_STARTS}][:A-Z_a-z.0-9{NAME_STARTS}{NAME_CHARACTERS}-]*+"
_SPACE: Final = r"[ \t\r\n]"
_ATTRIBUTE: Final = rf"""{_SPACE}++(?:{_NAME}){_SPACE}*+={_SPACE}*+(?:"[^<"]*+"|'[^<']*+')"""

_START = re.compile(rf"<({_NAME})((?:{_ATTRIBUTE})*+){_SPACE}*+(/?)>")
_END = re.compile(rf"</({_NAME}){_SPACE}*+>")
_ATTRIBUTES = re.compile(rf"""({_NAME}){_SPACE}*+={_SPACE}*+(?:"([^<"]*+)"|'([^<']*+)')""")
_TARGET = re.compile(rf"({_NAME})(?={_SPACE}|\Z)")
_LOOSE_TAG = re.compile(rf"<(/?)({_NAME})([^<>]*+)>")
"""A tag that is not well-formed still opens or closes something, or else the tags around it would not pair."""
_SIGN = re.compile("[\"'\\[\\]>]")
_INDEX = re.compile("0|[1-9][0-9]{0,8}")

_CHARACTERS: Final = "\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff"
_BAD_CHARACTER = re.compile(f"[^{_CHARACTERS}]")
_REFERENCE = r"(?:amp|lt|gt|quot|apos|#(?=[0-9])0*+[0-9]{0,7}|#x(?=[0-9a-fA-F])0*+[0-9a-fA-F]{0,6});"
_BAD_REFERENCE = re.compile(f"&(?!{_REFERENCE})")
_NUMBERED = re.compile("&#(x?)([0-9a-fA-F]+);")


@dataclass(slots=True)
class _Open:
    """An element whose end has not been seen; also what stands outside of all elements."""

    name: str
    sound: bool = True
    has_text: bool = False
    elements: dict[str, Content] = field(default_factory=dict)
    others: dict[str, Content] = field(default_factory=dict)

    def add(self, name: str, content: Content) -> None:
        """Adds an element; those of one name become a list."""
        if name not in self.elements:
            self.elements[name] = content
            return
        there = self.elements[name]
        if isinstance(there, list):
            there.append(content)
        else:
            self.elements[name] = [there, content]

    def content(self) -> Content:
        keys = self.others | self.elements
        if not keys:
            return ""
        return keys | {"#text": ""} if self.has_text else keys


class XmlScan:
    """One reading of a text.

    Attributes:
        groups: Well-formed fragments that stand beside each other, by element name: those at the outermost level, and
            those inside each element that is not well-formed itself or never ends.
        prolog: Processing instructions outside of all elements, the XML declaration among them.
    """

    def __init__(self, text: str, *, trusted: bool = False) -> None:
        """Reads.

        Args:
            text: Anything.
            trusted: Whether it is known to be a well-formed document.
        """
        self.groups: list[dict[str, Content]] = []
        self._text = text
        self._trusted = trusted
        self._root = _Open("")
        self._stack = [self._root]
        self._read()
        self._abandon()
        self._give_up(self._root)
        self.prolog = self._root.others

    def _read(self) -> None:
        position, at = 0, self._text.find("<")
        while at >= 0:
            top = self._stack[-1]
            if top is not self._root:
                self._take_text(top, self._text[position:at])
            end = self._markup(at)
            if end is None:
                top.sound, top.has_text = False, True
            position = at + 1 if end is None else end
            at = self._text.find("<", position)

    def _take_text(self, top: _Open, text: str) -> None:
        if not text:
            return
        top.has_text = top.has_text or bool(javascript.trim(text))
        top.sound = top.sound and ("]]>" not in text or self._trusted) and self._is_sound(text)

    def _is_sound(self, text: str) -> bool:
        """Whether a text or an attribute has only characters and references that XML knows."""
        if self._trusted:
            return True
        if _BAD_CHARACTER.search(text):
            return False
        if "&" not in text:
            return True
        if _BAD_REFERENCE.search(text):
            return False
        codes = (
            int(digits.lstrip("0") or "0", 16 if hexadecimal else 10) for hexadecimal, digits in _NUMBERED.findall(text)
        )
        return all(code <= sys.maxunicode and not _BAD_CHARACTER.match(chr(code)) for code in codes)

    def _markup(self, at: int) -> int | None:
        """Reads a tag, comment, section or instruction; returns its end, or None if there is none."""
        following = self._text[at + 1 : at + 2]
        if following == "!":
            return self._declaration(at)
        if following == "?":
            return self._instruction(at)
        if match := _START.match(self._text, at):
            self._open(match[1], self._attributes(match[2]), closed=bool(match[3]))
        elif match := _END.match(self._text, at):
            self._close(match[1], sound=True)
        elif match := _LOOSE_TAG.match(self._text, at):
            if match[1]:
                self._close(match[2], sound=False)
            else:
                self._open(match[2], None, closed=match[3].rstrip().endswith("/"))
        return match.end() if match else None

    def _attributes(self, text: str) -> dict[str, Content] | None:
        """The attributes of a tag; None if one is not sound or there twice."""
        attributes: dict[str, Content] = {}
        for name, quoted, apostrophed in _ATTRIBUTES.findall(text):
            if f"@_{name}" in attributes or not self._is_sound(quoted or apostrophed):
                return None
            attributes[f"@_{name}"] = ""
        return attributes

    def _open(self, name: str, attributes: dict[str, Content] | None, *, closed: bool) -> None:
        self._stack.append(_Open(name, sound=attributes is not None, others=attributes or {}))
        if closed:
            self._close(name, sound=True)

    def _close(self, name: str, *, sound: bool) -> None:
        top = self._stack[-1]
        if top is self._root or top.name != name:
            self._abandon()
            return
        self._stack.pop()
        if top.sound and sound:
            self._stack[-1].add(name, top.content())
        else:
            self._stack[-1].sound = False
            self._give_up(top)

    def _abandon(self) -> None:
        """Gives up all elements that are open, as promptfoo does where an end has no start."""
        for element in self._stack[1:]:
            self._give_up(element)
        del self._stack[1:]

    def _give_up(self, element: _Open) -> None:
        if element.elements:
            self.groups.append(element.elements)

    def _declaration(self, at: int) -> int:
        top = self._stack[-1]
        if self._text.startswith("<!--", at):
            end = self._find("-->", at + 4)
            inside = self._text[at + 4 : end - 3]
            dashes = "--" in inside or inside.endswith("-")
            top.sound = top.sound and not dashes and self._is_plain(inside)
            return end
        if self._text.startswith("<![CDATA[", at):
            end = self._find("]]>", at + 9)
            inside = self._text[at + 9 : end - 3]
            top.sound = top.sound and self._is_plain(inside)
            top.has_text = top.has_text or bool(inside)
            return end
        top.sound = False
        return self._declared(at + 2)

    def _is_plain(self, text: str) -> bool:
        return self._trusted or not _BAD_CHARACTER.search(text)

    def _declared(self, position: int) -> int:
        """The end of a document type, which may have quoted text and brackets in it."""
        depth = 0
        while match := _SIGN.search(self._text, position):
            position = match.end()
            if match[0] == ">" and depth == 0:
                return position
            if match[0] in {"'", '"'}:
                position = self._find(match[0], position)
            elif match[0] == "[":
                depth += 1
            elif match[0] == "]":
                depth = max(0, depth - 1)
        return len(self._text)

    def _instruction(self, at: int) -> int:
        top = self._stack[-1]
        end = self._find("?>", at + 2)
        match = _TARGET.match(self._text, at + 2, end - 2)
        if match is None or not self._is_plain(self._text[at:end]):
            top.sound = False
            return end
        if match[1].lower() == "xml" and top is not self._root:
            top.sound = False
        attributes: dict[str, Content] = {
            f"@_{found[1]}": "" for found in _ATTRIBUTES.finditer(self._text, match.end(), end - 2)
        }
        top.others[f"?{match[1]}"] = attributes or ""
        return end

    def _find(self, closing: str, position: int) -> int:
        """The end of what that text closes: of the whole text if it is never closed."""
        found = self._text.find(closing, position)
        return len(self._text) if found < 0 else found + len(closing)


def holds(content: Content, path: str) -> bool:
    """Whether a path leads anywhere: names with dots between them, and an index where elements have the same name."""
    for key in path.split("."):
        if isinstance(content, list):
            if not _INDEX.fullmatch(key) or int(key) >= len(content):
                return False
            content = content[int(key)]
        elif isinstance(content, dict) and key in content:
            content = content[key]
        else:
            return False
    return True
