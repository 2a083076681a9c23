"""What the docstrings below the fields of a form say, for its JSON Schema.

They are read from the source when a schema is made. pydantic could read them whenever a form is imported
(`use_attribute_docstrings`); that took a third of a second of every run, and only editors look at them.
"""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

if TYPE_CHECKING:
    from pydantic_core import core_schema

__all__ = ["DocumentedSchema", "field_docs"]


class DocumentedSchema(GenerateJsonSchema):
    """Makes schemas whose properties are described by the docstrings of the fields that they stand for."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        """The schema of a form, its fields described."""
        made = super().model_schema(schema)
        form: type[BaseModel] = schema["cls"]
        docs = field_docs(form)
        for name, field in form.model_fields.items():
            if name in docs and field.description is None:
                made["properties"][field.alias or name]["description"] = docs[name]
        return made


def field_docs(form: type[BaseModel]) -> dict[str, str]:
    """The docstring below each field of a form, those of its bases included."""
    docs: dict[str, str] = {}
    for each in reversed(form.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            docs |= _written(each)
    return docs


def _written(form: type[BaseModel]) -> dict[str, str]:
    """The docstrings that stand in one class."""
    body = ast.parse(inspect.getsource(form)).body[0]
    statements = body.body if isinstance(body, ast.ClassDef) else []
    docs = {}
    for field, below in pairwise(statements):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                docs[name] = inspect.cleandoc(text)
            case _:
                pass
    return docs
