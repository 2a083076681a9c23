"""The form of `prompt:`, which is a list of entries, one entry, or only a text or a name.

prompt: "Answer in one word: {{ question }}"        # what the user says
prompt: prompts/support.md                          # a file; or prompts:/support/3 from MLflow's registry
prompt: {file: prompts/support.md, version: 1.2.0}  # refused if the file says another version
prompt: {messages: conversation}                    # a column that holds a list of messages
prompt:
  - {role: system, content: "Answer briefly."}
  - {messages: "{{ inputs.messages }}"}
  - {role: user, content: [{text: "What is this?"}, {image: "{{ picture }}"}]}
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from llmgate.suite.form.part import Part

__all__ = ["ContentPart", "Entries", "EntryPart"]


FILES: Final = (".md", ".txt", ".j2", ".json", ".yaml", ".yml")


class ContentPart(Part):
    """One part of a message: text or a picture."""

    text: str | None = None
    """Text, a template of the row."""
    image: str | None = None
    """URL or file of a picture, a template of the row."""
    detail: Literal["auto", "low", "high"] | None = None
    """How closely the model looks at the picture."""


class EntryPart(Part):
    """One entry of `prompt:`: role and content, or messages, or file, or uri."""

    role: Literal["system", "user", "assistant"] | None = None
    """Who says it."""
    content: str | list[ContentPart] | None = None
    """What is said: a template of the row, or parts with texts and pictures."""
    messages: str | None = None
    """The column that holds a list of messages."""
    file: str | None = None
    """A file with the prompt, from the suite's folder."""
    uri: str | None = None
    """A prompt of MLflow's registry: prompts:/NAME/VERSION."""
    version: str | None = None
    """The version that the file must say."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    """The digest that the prompt must have, or its beginning."""


def as_entries(written: Any) -> Any:
    """A prompt that is only a text, a name or one entry, as a list of one."""
    if isinstance(written, str):
        if says_something(written):
            return [{"role": "user", "content": written}]
        return [{"uri" if written.startswith("prompts:") else "file": written}]
    return [written] if isinstance(written, dict) else written


def says_something(written: str) -> bool:
    """Whether a string is a prompt, and not the name of one: it has a blank or a column, and no file's ending."""
    return "{{" in written or (len(written.split()) > 1 and not written.endswith(FILES))


Entries = Annotated[
    list[EntryPart],
    BeforeValidator(
        as_entries, json_schema_input_type=str | EntryPart | Annotated[list[EntryPart], Field(min_length=1)]
    ),
    Field(min_length=1),
]
