r"""Mathematical expressions as models write them, LaTeX included, read into a small tree that can only be computed.

What is read: numbers (`1,234.5`, `12%`, `1e-3`, `3 1/2`), `+ - * / ^`, brackets, `|x|`, implied products (`2x`,
`3\pi`), `\frac`, `\sqrt`, `pi`, `e`, `i` is a symbol, one-letter symbols, and the functions of `FUNCTIONS`. Nothing is
evaluated as code: Python's parser is used for precedence, and only the listed nodes are accepted.
"""

from __future__ import annotations

import ast
import re
from types import MappingProxyType
from typing import Final

__all__ = ["FUNCTIONS", "final_answer", "is_worked", "parse_expression"]

MOST_CHARS: Final = 500
FUNCTIONS: Final = frozenset({"sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "exp", "log", "ln", "abs"})

_COMMANDS: Final = MappingProxyType(
    {
        r"\cdot": "*", r"\times": "*", r"\div": "/", r"\pi": " pi ", r"\left": "", r"\right": "", r"\,": "", r"\;": "",
        r"\!": "", r"\ ": "", r"\%": "%", r"\$": "", r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\lvert": "|",
        r"\rvert": "|", "−": "-", "–": "-",
        "×": "*", "·": "*", "÷": "/", "π": " pi ", "√": r"\sqrt", "^": "**", "$": "", "²": "**2", "³": "**3",
        "€": "", "£": "",
    }
)  # fmt: skip
_COMMAND = re.compile("|".join(re.escape(key) for key in sorted(_COMMANDS, key=len, reverse=True)))
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|operatorname)\s*\{([^{}]*)\}")
_THOUSANDS = re.compile(r"(?<![0-9.,])([0-9]{1,3}(?:,[0-9]{3})+)(?![0-9])")
_PERCENT = re.compile(r"([0-9](?:[0-9.]*[0-9])?)\s*%")
_MIXED = re.compile(
    r"(?<![0-9.A-Za-z_)}])([0-9]{1,3})"
    r"(?:\s+([0-9]+)\s*/\s*([0-9]+)|\s*\\frac\s*(?:\{([0-9]+)\}\s*\{([0-9]+)\}|([0-9])([0-9])))(?![0-9.])"
)
_BARS = re.compile(r"\|([^|]+)\|")
_IMPLIED = re.compile(r"(?<=[0-9)])\s*(?=[A-Za-z(])|(?<=\))\s*(?=[0-9])")
_EXPONENT = re.compile(r"([0-9])\s*\*\s*([eE][+-]?[0-9]+)(?![A-Za-z0-9])")
_LETTERS = re.compile(r"[A-Za-z]+")
_BOXED = r"\boxed"
_MARKED = re.compile(r"(?i)####\s*|(?:final\s+)?answer\s*(?:is|:|=)\s*:?\s*")
_NUMBER = re.compile(
    r"[-−]?\$?(?:[0-9]{1,3}\s+[0-9]+\s*/\s*[0-9]+|[0-9][0-9,]*(?:\.[0-9]+)?(?:\s*/\s*[0-9]+)?\s*%?)(?![0-9])"
)
_NODES = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Constant, ast.Name, ast.Load)
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.USub, ast.UAdd)


def parse_expression(text: str) -> ast.expr:
    """Read an expression.

    Raises:
        ValueError: If it is none, is too long, or holds anything that is not computed here.
    """
    source = _to_python(text)
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text[:60]!r} is no expression") from error
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and (node.id in FUNCTIONS) is not (id(node) in called):
            raise ValueError(f"{text[:60]!r} has a function without an argument, or calls a symbol")
        if not isinstance(node, _NODES + _OPERATORS):
            raise ValueError(f"{text[:60]!r} holds something that is not computed: {type(node).__name__}")
        if isinstance(node, ast.Constant) and (isinstance(node.value, bool) or not isinstance(node.value, int | float)):
            raise ValueError(f"{text[:60]!r} holds a value that is no number")
        if isinstance(node, ast.Call) and not _known_call(node):
            raise ValueError(f"{text[:60]!r} calls an unknown function")
    return tree.body


def final_answer(text: str) -> str:
    r"""The part of an answer that states the result.

    The last `\boxed{…}`; else what follows the last `####` or "answer is" on its line, or the first number there; else
    the whole text if it is an expression; else the last number.
    """
    boxed = _boxed(text)
    if boxed is not None:
        return boxed
    marked = list(_MARKED.finditer(text))
    if marked:
        line = text[marked[-1].end() :].split("\n", 1)[0].strip().strip("*").rstrip(".").strip()
        number = _NUMBER.search(line)
        if _reads(line):
            return line
        if number:
            return number[0].strip()
    stripped = text.strip().rstrip(".")
    if len(stripped) <= MOST_CHARS and not _prose(stripped) and _reads(stripped):
        return stripped
    numbers = _NUMBER.findall(text)
    return numbers[-1].strip() if numbers else stripped


def is_worked(text: str) -> bool:
    """Whether a text leads to a result, so that its last part is what it states; `10!` is no such text."""
    return _boxed(text) is not None or _MARKED.search(text) is not None or "=" in text or _prose(text)


def _prose(text: str) -> bool:
    """Whether there are words, of which short ones would be read as products of symbols."""
    return bool({word for word in _LETTERS.findall(text[:MOST_CHARS]) if len(word) > 1} - FUNCTIONS - {"pi", "frac"})


def _reads(text: str) -> bool:
    try:
        parse_expression(text)
    except ValueError:
        return False
    return True


def _boxed(text: str) -> str | None:
    start = text.rfind(_BOXED)
    if start < 0:
        return None
    inner = text[start + len(_BOXED) :].lstrip()
    group = _group(inner, 0)
    return None if group is None else group[0]


def _group(text: str, start: int) -> tuple[str, int] | None:
    """The content of the braces that open at `start`, and the place after them."""
    if text[start : start + 1] != "{":
        return None
    depth = 0
    for index in range(start, min(len(text), start + MOST_CHARS * 2)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[start + 1 : index], index + 1
    return None


def _to_python(text: str) -> str:
    if len(text) > MOST_CHARS:
        raise ValueError(f"an expression of {len(text)} characters is too long")
    source = _TEXT.sub("", text.strip().strip("$"))
    source = _COMMAND.sub(lambda match: _COMMANDS[match[0]], source)
    source = _MIXED.sub(_mixed, source)
    source = _BARS.sub(r" abs(\1) ", source)
    source = _structures(source)
    source = re.sub(r"\\([A-Za-z]+)", r" \1 ", source)
    source = source.replace("{", "(").replace("}", ")").replace("[", "(").replace("]", ")")
    source = _THOUSANDS.sub(lambda match: match[1].replace(",", ""), source)
    source = _PERCENT.sub(r"(\1/100)", source)
    source = _LETTERS.sub(_spaced, source)
    source = _IMPLIED.sub("*", source)
    source = _EXPONENT.sub(r"\1\2", source)
    # `f (x)` of a function is a call, of a symbol a product.
    source = re.sub(r"\b([A-Za-z]+)\s*\(", lambda m: f"{m[1]}(" if m[1] in FUNCTIONS else f"{m[1]}*(", source)
    return re.sub(r"\b([A-Za-z]+)\s+(?=[A-Za-z0-9(])", lambda m: m[1] + "*", source).strip()


def _mixed(match: re.Match[str]) -> str:
    """`3 1/2` is 3.5, and not 3 times a half: so people write it, and nobody multiplies numbers without a sign."""
    whole, above, below = (part for part in match.groups() if part is not None)
    return f"({whole}+{above}/{below})" if int(above) < int(below) else match[0]


def _structures(source: str) -> str:
    r"""`\frac{a}{b}` and `\sqrt{a}`, nested ones from the inside."""
    for _ in range(20):
        at = max(source.rfind(r"\frac"), source.rfind(r"\sqrt"))
        if at < 0:
            return source
        name = source[at : at + 5]
        rest = source[at + 5 :].lstrip()
        first = _group(rest, 0) or _single(rest)
        if name == r"\sqrt":
            source = f"{source[:at]} sqrt({first[0]}){rest[first[1] :]}"
            continue
        after = rest[first[1] :].lstrip()
        second = _group(after, 0) or _single(after)
        source = f"{source[:at]}(({first[0]})/({second[0]})){after[second[1] :]}"
    raise ValueError("an expression with more than 20 fractions or roots is too deep")


def _single(text: str) -> tuple[str, int]:
    if not text:
        raise ValueError("a fraction or root has no content")
    return text[0], 1


def _spaced(match: re.Match[str]) -> str:
    """Words that are functions or constants stay; other letters are symbols, multiplied."""
    word = match[0]
    if word in FUNCTIONS or word in {"pi", "e", "E"} or len(word) == 1:
        return word
    if len(word) <= 3:
        return "*".join(word)
    raise ValueError(f"{word[:40]!r} is no symbol and no function")


def _known_call(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS and len(node.args) == 1 and not node.keywords
