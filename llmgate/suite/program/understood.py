"""What JavaScript programs may name and call: said here, so that importers know it; evaluated in the room `score`."""

from __future__ import annotations

from typing import Final

__all__ = ["CLASSES", "FUNCTIONS", "METHODS", "NAMES", "SPACES"]

CLASSES: Final = frozenset({"Error", "RegExp", "Set"})
"""What `new` may stand before."""
SPACES: Final = frozenset({"Array", "JSON", "Math", "Number", "Object", "String", "console"})
"""Names before the dot of `FUNCTIONS`."""
FUNCTIONS: Final = frozenset(
    {
        *("Array.from", "Array.isArray", "JSON.parse", "JSON.stringify", "Math.abs", "Math.ceil"),
        *("Math.floor", "Math.max", "Math.min", "Math.round", "Math.sqrt", "Math.trunc", "Number.isFinite"),
        *("Number.isInteger", "Number.isNaN", "Number.parseFloat", "Number.parseInt", "Object.entries"),
        *("Object.hasOwn", "Object.keys", "Object.values", "console.debug", "console.error", "console.info"),
        *("console.log", "console.warn"),
    }
)
"""Functions by their full names."""
NAMES: Final = frozenset(
    {
        *("Boolean", "Infinity", "NaN", "Number", "String", "isFinite", "isNaN", "parseFloat", "parseInt"),
        *("undefined",),
    }
)
"""What has a value without being declared."""
METHODS: Final = frozenset(
    {
        *("add", "at", "charAt", "charCodeAt", "concat", "endsWith", "every", "exec", "filter", "find"),
        *("findIndex", "findLast", "flat", "flatMap", "forEach", "has", "hasOwnProperty", "includes"),
        *("indexOf", "join", "lastIndexOf", "map", "match", "matchAll", "padEnd", "padStart", "pop", "push"),
        *("reduce", "repeat", "replace", "replaceAll", "reverse", "search", "shift", "slice", "some", "sort"),
        *("split", "startsWith", "substr", "substring", "test", "toFixed", "toLowerCase", "toString"),
        *("toUpperCase", "trim", "trimEnd", "trimStart"),
    }
)
"""Methods of values."""
