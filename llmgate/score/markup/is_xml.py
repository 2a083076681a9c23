"""Whether a text is an XML document: well-formed, namespaces included, by expat's judgement.

A document type with an internal subset is refused before it is read, so nothing is ever defined, expanded or fetched.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from llmgate.errors import LlmgateError
from llmgate.score.markup.contains_xml import NAME_CHARACTERS, NAME_STARTS

__all__ = ["xml_problem"]

_SEPARATOR = "\x01"
"""Between a namespace and a name; no XML character."""
_VERSION = re.compile(r"1\.[0-9]+")
_STARTS = re.compile(f"[{NAME_STARTS}]")
_CHARACTERS = re.compile(f"[{NAME_CHARACTERS}]")


class _RefusedError(LlmgateError):
    """The document has what is not supported."""


def xml_problem(text: str) -> str | None:
    """Why a text is no XML document, None if it is one."""
    parser = expat.ParserCreate("utf-8", _SEPARATOR)
    parser.StartDoctypeDeclHandler = _refuse_internal_subset
    parser.XmlDeclHandler = _refuse_version
    try:
        parser.Parse(_widened(text.removeprefix("\ufeff")).encode(), True)
    except expat.ExpatError as error:
        return expat.errors.messages.get(error.code, str(error))
    except UnicodeEncodeError:
        return "a surrogate is no character of XML"
    except _RefusedError as error:
        return error.what
    return None


def _widened(text: str) -> str:
    """The same text for a parser that knows the names of XML 1.0's fourth edition only.

    The fifth edition allows nearly all letters, signs and emoji in names. Each is spelt in letters that both know,
    and no two alike, so that equal names stay equal and different ones different.
    """
    if text.isascii():
        return text
    text = _CHARACTERS.sub(lambda match: f"·{ord(match[0]):x}·", text)
    return _STARTS.sub(lambda match: f"é{ord(match[0]):x}é", text)


def _refuse_internal_subset(_: str, __: str | None, ___: str | None, has_internal_subset: int) -> None:
    if has_internal_subset:
        raise _RefusedError("a document type with an internal subset is not supported")


def _refuse_version(version: str, _: str | None, __: int) -> None:
    if not _VERSION.fullmatch(version):
        raise _RefusedError(f"there is no XML version {version[:20]!r}")
