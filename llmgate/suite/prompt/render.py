"""One row through the prompt: the messages that are sent, and how the record shows them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from llmgate.errors import DatasetError, SuiteError, did_you_mean
from llmgate.record.schema import ChatRole, Message
from llmgate.suite.asserts import Json
from llmgate.suite.prompt.conversation import Wire, picture_part, read_messages, recorded, text_part
from llmgate.suite.prompt.entries import Conversation, PromptMessage
from llmgate.suite.prompt.images import Images
from llmgate.suite.prompt.tools import read_tools
from llmgate.suite.template.nunjucks import Template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.record.reach import Reach
    from llmgate.suite.data.rows import Row
    from llmgate.suite.data.source import DatasetSource

__all__ = ["CompiledMessage", "CompiledPrompt", "RenderedPrompt", "compile_prompt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedPrompt:
    """What one row asks.

    Attributes:
        messages: For the record.
        wire: For the request.
        tools: For the request; empty if no tools are offered.
    """

    messages: tuple[Message, ...]
    wire: list[Wire]
    tools: list[Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledMessage:
    """A message with its templates compiled.

    Attributes:
        role: Who says it.
        pieces: Kind, template and detail of each part; one of text if `plain`.
        plain: Whether the content is sent as text and not as a list of parts.
        where: Where it stands.
    """

    role: ChatRole
    pieces: tuple[tuple[Literal["text", "image"], Template, str | None], ...]
    plain: bool
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPrompt:
    """The prompt of a suite, ready for its rows.

    Attributes:
        entries: Messages and conversations, in order.
        tools: The definitions, or the column that has them, or None.
        images: The pictures that were read so far.
        suite_folder: Where paths that the suite writes start.
        data_folder: Where paths that rows hold start.
        data_name: The dataset, for messages.
    """

    entries: tuple[CompiledMessage | Conversation, ...]
    tools: list[Json] | Conversation | None
    images: Images
    suite_folder: Path
    data_folder: Path
    data_name: str

    def render(self, row: Row) -> RenderedPrompt:
        """Fill a row in.

        Raises:
            TemplateError: If a template cannot be rendered.
            DatasetError: If the row holds a conversation, a picture or tools that cannot be sent.
        """
        where = f"{self.data_name}:{row.line}"
        wire: list[Wire] = []
        for entry in self.entries:
            if isinstance(entry, CompiledMessage):
                wire.append(self._message(entry, row.values))
            else:
                picture = partial(self.images.url, folder=self.data_folder, where=where)
                wire += read_messages(_at(row.values, entry, where), where=where, picture=picture)
        if self.entries and isinstance(self.entries[-1], Conversation) and wire[-1]["role"] not in {"user", "tool"}:
            raise DatasetError(
                f"the conversation ends with the {wire[-1]['role']}, so there is nothing to answer",
                where=where,
                fix="End it with what the user says, or add a user message to the prompt",
            )
        return RenderedPrompt(messages=tuple(map(recorded, wire)), wire=wire, tools=self._tools(row, where))

    def _message(self, message: CompiledMessage, variables: Mapping[str, Json]) -> Wire:
        if message.plain:
            return {"role": message.role, "content": message.pieces[0][1].render(variables)}
        content: list[Json] = []
        for kind, template, detail in message.pieces:
            text = template.render(variables)
            if kind == "text":
                content.append(text_part(text))
            else:
                folder = self.suite_folder if template.constant else self.data_folder
                content.append(picture_part(self.images.url(text, folder, where=message.where), detail))
        return {"role": message.role, "content": content}

    def _tools(self, row: Row, where: str) -> list[Json]:
        if isinstance(self.tools, Conversation):
            value = _at(row.values, self.tools, where)
            return [] if value is None or value == [] else read_tools(value, where=where, error=DatasetError)
        return self.tools or []


def compile_prompt(
    entries: Sequence[PromptMessage | Conversation],
    tools: list[Json] | Conversation | None,
    columns: tuple[str, ...],
    *,
    suite_folder: Path,
    source: DatasetSource,
    reach: Reach,
) -> CompiledPrompt:
    """Compile the prompt of a suite.

    Args:
        entries: Messages and conversations, in order.
        tools: The definitions, or the column that has them, or None.
        columns: Those of the dataset.
        suite_folder: Where paths that the suite writes start.
        source: Where the rows come from, and paths that they hold start.
        reach: Where the files lie that the suite may name.

    Raises:
        TemplateError: If a template does not parse.
        SuiteError: If it uses columns that the dataset does not have.
    """
    compiled = tuple(_compiled(entry, columns) if isinstance(entry, PromptMessage) else entry for entry in entries)
    for column in (*compiled, tools):
        if isinstance(column, Conversation) and column.path[0] not in columns:
            raise SuiteError(
                f"there is no column {column.path[0]!r}", where=column.where, fix=did_you_mean(column.path[0], columns)
            )
    return CompiledPrompt(
        entries=compiled,
        tools=tools,
        images=Images(reach),
        suite_folder=suite_folder,
        data_folder=source.folder,
        data_name=source.name,
    )


def _compiled(message: PromptMessage, columns: tuple[str, ...]) -> CompiledMessage:
    where = message.where
    written = [(piece.kind, piece.text, piece.detail) for piece in message.pieces] or [("text", message.content, None)]
    pieces = tuple((kind, Template.compile(text, where=where), detail) for kind, text, detail in written)
    for _, template, _ in pieces:
        # A variable that does not exist would silently render to nothing.
        for name in sorted(template.names - set(columns)):
            raise SuiteError(
                f"the prompt uses {name!r}, which is no column of the dataset",
                where=where,
                fix=did_you_mean(name, columns),
            )
    return CompiledMessage(role=message.role, pieces=pieces, plain=not message.pieces, where=where)


def _at(values: Mapping[str, Json], column: Conversation, where: str) -> Json:
    value: Json = dict(values)
    for key in column.path:
        if not isinstance(value, dict) or key not in value:
            raise DatasetError(
                f"the row has no {'.'.join(column.path)!r}", where=where, fix=f"The suite asks for it: {column.where}"
            )
        value = value[key]
    return value
