"""Pages of Markdown whose blocks are carried out."""

from __future__ import annotations

import re

__all__ = ["BLOCK", "commands"]

BLOCK = re.compile(
    r"^```(?P<language>[a-z]+)(?: title=(?P<title>\S+))?\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL
)


def commands(content: str) -> list[tuple[str, list[str]]]:
    """Commands with the lines that stand below them."""
    found: list[tuple[str, list[str]]] = []
    for line in content.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip():
            found[-1][1].append(line)
    return found
