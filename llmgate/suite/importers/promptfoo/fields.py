"""The settings of promptfoo's providers: which request field each of them is, and which say nothing of the question.

Names are those that the providers of promptfoo 0.118 read from their `config:`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from llmgate.suite.asserts import Json
from llmgate.suite.importers.files import mapping
from llmgate.suite.importers.promptfoo.tools import plain_schema, tool_choice, tools_of

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["RequestFields"]

_SAME: Final = (
    *("temperature", "top_p", "top_k", "min_p", "max_tokens", "seed", "stop", "frequency_penalty"),
    *("presence_penalty",),
)
_CALLED_OTHERWISE: Final = {
    **dict.fromkeys(
        (
            *("max_completion_tokens", "max_new_tokens", "max_gen_toks", "num_predict", "maxOutputTokens", "maxTokens"),
            *("max_output_tokens", "max_tokens_to_sample", "maxNewTokens", "max_gen_len", "maxTokenCount", "n_predict"),
        ),
        "max_tokens",
    ),
    **dict.fromkeys(("stop_seqs", "stopSequences", "stop_sequences"), "stop"),
    **dict.fromkeys(("random_seed", "randomSeed"), "seed"),
    "topP": "top_p",
    "topK": "top_k",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
}
_EXTRA: Final = {
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "chat_template_kwargs": "chat_template_kwargs",
    "reasoning_effort": "reasoning_effort",
    "reasoningEffort": "reasoning_effort",
    "verbosity": "verbosity",
    "logit_bias": "logit_bias",
    "parallel_tool_calls": "parallel_tool_calls",
    "repetition_penalty": "repetition_penalty",
    "repeat_penalty": "repetition_penalty",
    "repeatPenalty": "repetition_penalty",
    "functions": "functions",
    "function_call": "function_call",
}
_INSIDE: Final = frozenset({"generationConfig", "inferenceConfig", "interfaceConfig", "parameters", "passthrough"})
"""Settings that hold others."""
_SYSTEM: Final = frozenset({"instructions", "systemInstruction", "system_prompt", "systemPrompt"})
_FORMATS: Final = frozenset(
    {
        *("response_format", "responseFormat", "responseSchema", "response_schema", "responseMimeType"),
        *("response_mime_type", "format"),
    }
)
_TOOLS: Final = frozenset({"tools", "functions"})
_NOT_ASKED: Final = frozenset(
    {
        # Where the provider is, and who asks.
        *("apiKey", "apiKeyEnvar", "apiKeyRequired", "apiBaseUrl", "baseUrl", "baseURL", "apiHost", "apiUrl", "url"),
        *("apiVersion", "organization", "headers", "region", "projectId", "project", "projectUrl", "accountId"),
        *("accessKeyId", "secretAccessKey", "sessionToken", "profile", "endpoint", "workspaceUrl", "deployment"),
        *("azureClientId", "azureClientSecret", "azureTenantId", "azureAuthorityHost", "azureTokenScope", "publisher"),
        *("portkeyProvider", "portkeyVirtualKey", "portkeyConfig", "isPayPerToken", "credentials", "serviceAccount"),
        # What it costs, what is kept of it, and how patiently it is asked.
        *("cost", "inputCost", "outputCost", "audioCost", "usageContext", "metadata", "store", "user", "service_tier"),
        *("timeout", "maxRetries", "maxTimeout", "retries", "delay", "debug", "loggingConfig", "background", "stream"),
        *("cache", "guardrails", "keepAlive", "keep_alive", "useCache", "showThinking", "basePath", "num_gpu"),
        # How its answer is taken apart, which depends on the form in which it comes.
        *("modelType", "contentType", "acceptType", "wait_for_model", "use_cache", "n", "apiType", "description"),
    }
)


@dataclass(slots=True, kw_only=True)
class RequestFields:
    """What the settings of one provider make of a request; filled by `take`.

    Attributes:
        sampling: RequestFields of `sampling:`.
        extra: Its `extra:`.
        system: A system message that the provider puts first, a template; empty if it has none.
        tools: Whether tools or functions were named that are not carried over.
        unlike: Settings that have no counterpart.
        callbacks: Whether the provider itself answers the model's calls, so that asserts see what functions return.
    """

    sampling: dict[str, Json] = field(default_factory=dict)
    extra: dict[str, Json] = field(default_factory=dict)
    system: str = ""
    tools: bool = False
    unlike: list[str] = field(default_factory=list)
    callbacks: bool = False

    def take(self, config: Mapping[str, Any], load: Callable[[Any], Any]) -> None:
        """Read settings.

        Args:
            config: A provider's `config:`.
            load: Gives what a file holds for its name, other values as they are, and None for what is code.
        """
        for key, written in config.items():
            if written is None or key in _NOT_ASKED:
                continue
            value = load(written)
            if value is None or (key in _TOOLS | _FORMATS and templated(value)):
                self.tools |= key in _TOOLS
                self.unlike.append(f"{key} ({'code' if value is None else 'it differs from test to test'})")
            elif key in _INSIDE and isinstance(value, Mapping):
                self.take(value, load)
            elif not self._taken(key, value, load):
                self.unlike.append(key)
        formats = {key: load(config[key]) for key in sorted(_FORMATS & set(config))}
        self._format({key: form for key, form in formats.items() if not templated(form)}, load)

    def _taken(self, key: str, value: Any, load: Callable[[Any], Any]) -> bool:
        name = _CALLED_OTHERWISE.get(key, key)
        if name in _SAME and fits(name, value):
            self.sampling[name] = value
        elif key in _FORMATS:
            pass  # they belong together, see `_format`
        elif key in _EXTRA:
            self.extra[_EXTRA[key]] = value
        elif key in _SYSTEM:
            self.system = system_text(value, load)
            return bool(self.system)
        elif key == "tools":
            self._tools(value, load)
        elif key in {"tool_choice", "toolChoice", "toolConfig"}:
            choice = tool_choice(value)
            if choice is None:
                return False
            self.extra["tool_choice"] = choice
        elif key == "functionToolCallbacks":
            self.callbacks = True
        elif key == "reasoning" and isinstance(value, Mapping) and isinstance(value.get("effort"), str):
            self.extra["reasoning_effort"] = value["effort"]
        else:
            return False
        return True

    def _tools(self, value: Any, load: Callable[[Any], Any]) -> None:
        items = [load(item) for item in (value if isinstance(value, list) else [value])]
        flat = [each for item in items for each in (item if isinstance(item, list) else [item])]
        kept, left = tools_of(flat)
        if kept:
            self.extra["tools"] = kept
        self.tools |= bool(left)
        self.unlike += [f"the tool {name!r}, which the provider runs itself" for name in left]

    def _format(self, parts: Mapping[str, Any], load: Callable[[Any], Any]) -> None:
        """The form that an answer must have: a text's name, a kind and a schema apart, or both in one."""
        schema = next((parts[key] for key in ("responseSchema", "response_schema") if key in parts), None)
        form = next((parts[key] for key in ("response_format", "responseFormat", "format") if key in parts), None)
        mime = next((parts[key] for key in ("responseMimeType", "response_mime_type") if key in parts), None)
        if isinstance(form, Mapping) and set(form) == {"path"}:
            form = None  # where a provider's reply has the answer
        try:
            made = response_format(form, parsed(schema), mime, load)
        except ValueError:
            self.unlike.append(next(iter(parts)))
            return
        if made:
            self.sampling["response_format"] = made


def templated(value: Any) -> bool:
    """Whether a value has variables of tests in it, which promptfoo fills in; what is sent here is as it is."""
    return "{{" in json.dumps(value, default=str)


def parsed(value: Any) -> Any:
    """A schema that was written as a text of JSON."""
    return json.loads(value) if isinstance(value, str) else value


def response_format(form: Any, schema: Any, mime: Any, load: Callable[[Any], Any]) -> dict[str, Json] | None:
    """`response_format` of a chat completion request, None for plain text.

    Raises:
        ValueError: If the form is not known.
    """
    kind = form.get("type") if isinstance(form, Mapping) else form
    if isinstance(schema, Mapping):
        named = schema if "schema" in schema else {"schema": schema}
        return json_schema(named, load)
    if kind == "json_schema" and isinstance(form, Mapping):
        inner = load(form.get("json_schema"))
        return json_schema(inner if isinstance(inner, Mapping) else form, load)
    if isinstance(form, Mapping) and "type" in form and isinstance(form.get("properties"), Mapping):
        return json_schema({"schema": form}, load)  # Ollama's `format` is a schema itself
    if kind in {"json_object", "json"} or (kind is None and mime == "application/json"):
        return {"type": "json_object"}
    if kind in {"text", None} and mime in {None, "text/plain", "application/json"}:
        return None
    raise ValueError(kind)


def json_schema(written: Mapping[str, Any], load: Callable[[Any], Any]) -> dict[str, Json]:
    """A schema with its name, as chat completions want it.

    Raises:
        ValueError: If there is none.
    """
    schema = load(written.get("schema"))
    if not isinstance(schema, Mapping):
        raise ValueError("no schema")
    made: dict[str, Json] = {"name": str(written.get("name") or "response"), "schema": plain_schema(schema)}
    if isinstance(written.get("strict"), bool):
        made["strict"] = written["strict"]
    return {"type": "json_schema", "json_schema": made}


def system_text(value: Any, load: Callable[[Any], Any]) -> str:
    """The text of a system message: as it is, or in the parts of Google's."""
    if isinstance(value, str):
        return value.strip("\n")
    parts = mapping(value).get("parts")
    items = [parts] if isinstance(parts, Mapping) else parts if isinstance(parts, list) else []
    texts = [load(mapping(item).get("text")) for item in items]
    return "\n".join(text for text in texts if isinstance(text, str))


def fits(name: str, value: Any) -> bool:
    """Whether a value is of the kind that `sampling:` takes."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    stops = value if isinstance(value, list) else [value]
    whole = isinstance(value, int) and number
    kinds = {
        "max_tokens": whole and value >= 1,
        "seed": whole,
        "top_k": whole,
        "stop": all(isinstance(stop, str) for stop in stops),
        "temperature": number and value >= 0,
        "top_p": number and 0 < value <= 1,
        "min_p": number and 0 <= value <= 1,
    }
    return kinds.get(name, number)
