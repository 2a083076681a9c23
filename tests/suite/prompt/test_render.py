"""Conversations, pictures and tools reach the request as they are, are recorded without bytes, or are refused."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import DatasetError, LlmgateError, SuiteError
from llmgate.record.reach import Reach
from llmgate.record.run.files import case_lines, cases_digest
from llmgate.record.run.stored import CASE
from llmgate.record.schema import Message
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.cases import PlannedSuite, plan_suite
from llmgate.suite.data.dataset import write_lock
from llmgate.suite.prompt import images
from llmgate.suite.prompt.conversation import read_messages, recorded
from llmgate.suite.prompt.images import Images
from llmgate.suite.prompt.tools import read_tools
from llmgate.suite.spec import load_suite

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "Hi {{ id }}"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    {"role": "user", "content": "So?"},
]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def plan(folder: Path, prompt: str, rows: list[dict[str, Any]], *, extra: str = "", csv: bool = False) -> PlannedSuite:
    data = folder / "data" / "rows.jsonl"
    data.parent.mkdir(exist_ok=True)
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data.with_name("rows.lock.json").unlink(missing_ok=True)
    write_lock(data)
    path = folder / "talk.yaml"
    path.write_text(
        f"llmgate: 1\nsuite: talk\nversion: 1.0.0\ndataset: data/rows.jsonl\nprompt: {prompt}\n{extra}"
        "assert:\n  - {type: icontains, value: x}\n",
        encoding="utf-8",
    )
    return plan_suite(load_suite(path, VOCABULARY), VOCABULARY)


@pytest.mark.parametrize(
    "prompt", ['{messages: "{{ talk }}"}', "{messages: talk}", "[{messages: talk}]", '{messages: "{{ more.talk }}"}']
)
def test_a_column_holds_the_conversation(tmp_path: Path, prompt: str) -> None:
    case = plan(tmp_path, prompt, [{"id": "a", "talk": TALK, "more": {"talk": TALK}}]).cases[0]
    assert case.request(0)["messages"] == TALK
    assert list(case.messages) == TALK
    assert [message.role for message in case.planned.messages] == ["user", "assistant", "tool", "user"]
    assert case.planned.messages[0] == Message(role="user", content="Hi {{ id }}")
    assert "weather" in case.planned.messages[1].content
    assert case.planned.messages[2].wire == TALK[2]


def test_written_messages_stand_around_it(tmp_path: Path) -> None:
    prompt = '[{role: system, content: "Be kind, {{ id }}."}, {messages: talk}, {role: user, content: "Really?"}]'
    case = plan(tmp_path, prompt, [{"id": "a", "talk": [*TALK[:1], {"role": "assistant", "content": "Ho"}]}]).cases[0]
    assert [m.content for m in case.planned.messages] == ["Be kind, a.", "Hi {{ id }}", "Ho", "Really?"]


@pytest.mark.parametrize(
    ("talk", "what"),
    [
        ("hi", "a conversation is a list of messages"),
        ([], "a conversation is a list"),
        (None, "a conversation is a list"),
        (["hi"], "message 1: a message is an object"),
        ([{"role": "usr", "content": "x"}], "no role 'usr'. Did you mean user"),
        ([{"role": ["user"], "content": "x"}], "no role"),
        ([{"role": "user", "contents": "x"}], "has no 'contents'. Did you mean content"),
        ([{"role": "user"}], "the user message has no content"),
        ([{"role": "user", "content": 3}], "has no content"),
        ([{"role": "user", "content": []}], "has no content"),
        ([{"role": "assistant", "content": None}], "has no content"),
        ([{"role": "user", "content": [{"video": "x"}]}], "neither text nor a picture"),
        ([{"role": "user", "content": "x", "tool_calls": [CALL]}], "only the assistant calls tools"),
        ([{"role": "assistant", "tool_calls": [{"id": "c1"}]}], "a tool call is not complete"),
        ([{"role": "assistant", "tool_calls": []}], "no content"),
        ([{"role": "assistant", "tool_calls": [CALL, CALL]}], "used twice"),
        ([{"role": "tool", "content": "x"}], "has no tool_call_id"),
        ([{"role": "tool", "content": "x", "tool_call_id": "c9"}], "no message before it made the tool call 'c9'"),
        ([{"role": "user", "content": "x", "tool_call_id": "c1"}], "cannot have a tool_call_id"),
        ([{"role": "user", "content": "x", "name": ""}], "name is not text"),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "nothing to answer"),
    ],
)
def test_what_is_no_conversation_is_refused(tmp_path: Path, talk: object, what: str) -> None:
    good = {"id": "a", "talk": TALK}
    with pytest.raises(DatasetError, match=what) as caught:
        plan(tmp_path, "{messages: talk}", [good, {"id": "b", "talk": talk}])
    assert "rows.jsonl:2" in str(caught.value.where)
    assert caught.value.fix


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=5)
        | st.sampled_from(["user", "tool", "assistant"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["role", "content", "tool_calls", "tool_call_id", "text", "image", "image_url", "url"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=12,
    )
)
def test_hostile_columns_are_refused_as_ours(value: Any) -> None:
    for read in (
        lambda: read_messages(value, where="d:1", picture=str),
        lambda: read_messages([value], where="d:1", picture=str),
        lambda: read_tools(value, where="d:1"),
        lambda: read_tools([value], where="d:1"),
    ):
        with contextlib.suppress(LlmgateError):
            assert read()


@pytest.mark.parametrize(
    ("prompt", "what"),
    [
        ("{messages: tlak}", "no column 'tlak'. Did you mean talk"),
        ('{messages: "{{ talk }} x"}', "names no column"),
        ('{messages: ""}', "names no column"),
        ("{messages: talk.inner}", "the row has no 'talk.inner'"),
        ("{messages: talk, file: x.md}", "has messages and file"),
        ("{role: user}", "'content' is missing"),
        ("{content: hi}", "'role' is missing"),
        ("{messages: talk, role: user}", "'content' is missing"),
        ("{messages: talk, version: 1.0.0}", "only prompts in files have a version"),
        ("[]", "prompt: value should have at least 1 item"),
        ("{}", "an entry of the prompt has no content"),
        ("[{role: user, content: [{}]}]", "either text or image"),
        ("[{role: user, content: [{text: x, image: y}]}]", "either text or image"),
        ("[{role: user, content: [{txt: x}]}]", "unknown key 'txt'. Did you mean text"),
        ("[{role: user, content: [{text: x, detail: low}]}]", "either text or image"),
        ('[{role: user, content: [{text: "{{ tlak }}"}]}]', "'tlak', which is no column"),
    ],
)
def test_a_prompt_that_is_no_prompt_is_refused(tmp_path: Path, prompt: str, what: str) -> None:
    with pytest.raises((SuiteError, DatasetError), match=what):
        plan(tmp_path, prompt, [{"id": "a", "talk": TALK}])


def test_pictures_are_sent_and_only_named_in_the_record(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cat.png").write_bytes(PNG)
    (tmp_path / "logo.gif").write_bytes(b"GIF89a...")
    rows = [
        {"id": "a", "picture": "cat.png"},
        {"id": "b", "picture": "https://example.org/dog.jpg"},
        {"id": "c", "picture": "data:image/png;base64," + base64.b64encode(PNG).decode()},
    ]
    prompt = """
  - role: user
    content: [{text: "What is {{ id }}?"}, {image: "{{ picture }}", detail: low}, {image: logo.gif}]"""
    planned = plan(tmp_path, prompt, rows)
    parts: Any = [case.messages[0]["content"] for case in planned.cases]
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert parts[0][0] == {"type": "text", "text": "What is a?"}
    assert parts[0][1] == {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    assert parts[0][2]["image_url"]["url"].startswith("data:image/gif;base64,")
    assert parts[1][1]["image_url"]["url"] == "https://example.org/dog.jpg"
    assert parts[2][1]["image_url"]["url"] == url
    text = b"".join(case_lines([case.planned for case in planned.cases]))
    assert b"base64" not in text
    assert b"image/png sha256:" in text
    before = planned.cases[0].planned.request_digest
    (tmp_path / "data" / "cat.png").write_bytes(PNG + b"1")
    assert plan(tmp_path, prompt, rows).cases[0].planned.request_digest != before


def test_pictures_of_a_conversation(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cat.png").write_bytes(PNG)
    content = [
        {"text": "x"},
        {"image": "cat.png"},
        {"type": "image_url", "image_url": {"url": "cat.png", "detail": "high"}},
    ]
    case = plan(tmp_path, "{messages: talk}", [{"id": "a", "talk": [{"role": "user", "content": content}]}]).cases[0]
    sent: Any = case.messages[0]["content"]
    assert sent[0] == {"type": "text", "text": "x"}
    assert sent[2] == {"type": "image_url", "image_url": {"url": sent[1]["image_url"]["url"], "detail": "high"}}


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("../secret.png", "lies outside"),
        ("/etc/passwd", "lies outside"),
        ("link.png", "lies outside"),
        ("file:///etc/passwd", "names no picture"),
        ("ftp://x/y.png", "names no picture"),
        ("", "names no picture"),
        ("a\x00b", "names no picture"),
        ("none.png", "there is no picture"),
        (".", "there is no picture"),
        ("text.png", "not a picture that models take"),
        ("big.png", "more than 50"),
        ("data:image/png;base64,!!!", "not base64"),
        ("data:image/png;base64," + base64.b64encode(b"GIF89a").decode(), "says image/png and holds image/gif"),
        ("data:text/html;base64,PGI+", "names no picture"),
        ("data:image/png;base64," + "A" * 1000, "more than 50"),
    ],
)
def test_what_may_not_be_sent_as_a_picture(
    tmp_path: Path, written: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 50)
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "text.png").write_text("root:x:0:0", encoding="utf-8")
    (folder / "big.png").write_bytes(PNG + b"0" * 100)
    with pytest.raises(DatasetError, match=what) as caught:
        Images(Reach.of(folder / "suite.yaml")).url(written, folder, where="d:1")
    assert caught.value.where == "d:1"


def test_a_picture_is_read_once_and_all_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_INLINED_BYTES", len(PNG) + 5)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(PNG)
    one = Images(Reach.of(tmp_path / "suite.yaml"))
    assert one.url("a.png", tmp_path, where="d:1") is one.url("./a.png", tmp_path, where="d:2")
    with pytest.raises(DatasetError, match="the pictures of this suite have more than"):
        one.url("b.png", tmp_path, where="d:3")


def test_tools_are_offered(tmp_path: Path) -> None:
    row = {"id": "a", "q": "x", "tools": [TOOL]}
    prompt = '[{role: user, content: "{{ q }}"}]'
    plain = plan(tmp_path, prompt, [row])
    fixed = plan(tmp_path, prompt, [row], extra=f"tools: {json.dumps([TOOL])}\n")
    column = plan(tmp_path, prompt, [row, row | {"id": "b", "tools": []}], extra='tools: "{{ tools }}"\n')
    assert "tools" not in plain.cases[0].body
    assert fixed.cases[0].body["tools"] == column.cases[0].body["tools"] == [TOOL]
    assert "tools" not in column.cases[1].body
    assert len({one.suite.digest for one in (plain, fixed, column)}) == 3
    assert fixed.cases[0].planned.request_digest != plain.cases[0].planned.request_digest


@pytest.mark.parametrize(
    ("tools", "what"),
    [
        ("[]", "a list of at least one tool"),
        ("[x]", "tool 1 is not a function"),
        ("[{type: function, function: {}}]", "tool 1 has no name"),
        ("[{type: function, function: {name: 'a b'}}]", "1 to 64 letters"),
        ("[{type: function, function: {name: a, params: {}}}]", "unknown key 'params'"),
        ("[{type: function, function: {name: a, description: 1}}]", "description that is not text"),
        ("[{type: function, function: {name: a, parameters: []}}]", "not a JSON schema"),
        ("[{type: function, function: {name: a, parameters: {type: objct}}}]", "not a JSON schema"),
        ("[{type: function, function: {name: a}}, {type: function, function: {name: a}}]", "two tools are called 'a'"),
        ("nope", "no column 'nope'"),
        ("id", "a list of at least one tool"),
    ],
)
def test_what_is_no_tool_is_refused(tmp_path: Path, tools: str, what: str) -> None:
    with pytest.raises((SuiteError, DatasetError), match=what):
        plan(tmp_path, "[{role: user, content: x}]", [{"id": "a"}], extra=f"tools: {tools}\n")


def test_tools_stand_in_one_place(tmp_path: Path) -> None:
    extra = f"tools: {json.dumps([TOOL])}\nsampling: {{extra: {{tools: []}}}}\n"
    with pytest.raises(SuiteError, match="tools stand here and in sampling.extra"):
        plan(tmp_path, "[{role: user, content: x}]", [{"id": "a"}], extra=extra)


def test_the_record_of_plain_messages_is_as_it_was(tmp_path: Path) -> None:
    case = plan(tmp_path, "[{role: user, content: x}]", [{"id": "a"}]).cases[0].planned
    line = b"".join(case_lines([case]))
    assert json.loads(line)["messages"] == [{"role": "user", "content": "x"}]
    assert CASE.validate_json(line) == case


def test_the_record_of_special_messages_is_read_again(tmp_path: Path) -> None:
    case = plan(tmp_path, "{messages: talk}", [{"id": "a", "talk": TALK}]).cases[0].planned
    again = CASE.validate_json(b"".join(case_lines([case])))
    assert again == case
    assert cases_digest([again]) == cases_digest([case])
    assert recorded({"role": "user", "content": "x"}) == Message(role="user", content="x")
