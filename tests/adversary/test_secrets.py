"""Endpoints that repeat secrets, URLs that hold them, keys that cannot be sent: nothing of it is seen anywhere."""

from __future__ import annotations

import base64
import html
import http.server
import json
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from support.adversary import Ending, llmgate
from support.endpoint import chat
from support.project import WRONG, write_suite

from llmgate.errors import EXIT_CANNOT_RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

KEY = "sk-Zq8Lw3Vt7Rb2Ny5Kd9Hx4Mc6Pf1Gj0Ts"
ODD = "p\"w\\4/5+6 &<7>'8=%9"
"""A password that every syntax writes in another way."""
CUT = 12
"""So much of a secret nobody may see."""
Reply = tuple[int, bytes]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMGATE_API_KEY", KEY)
    write_suite(tmp_path, cases=2, gate="min: 0.1")
    return tmp_path


@contextmanager
def endpoint(reply: Callable[[int], Reply], models: bytes = b'{"data": [{"id": "m"}]}') -> Iterator[str]:
    """Serve a reply to each case, by its number."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.send(200, models)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send(*reply(int(body["messages"][-1]["content"].rpartition("-")[2])))

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(url: str, *options: str) -> Ending:
    return llmgate("run", "words.yaml", "--endpoint", url, "--retries", "0", *options)


def asked(reply: Reply, *options: str, models: bytes = b'{"data": [{"id": "m"}]}') -> Ending:
    with endpoint(lambda _: reply, models) as url:
        return run(url, *options)


def seen(ending: Ending) -> str:
    """All that was printed and written."""
    files = (file.read_bytes().decode(errors="replace") for file in Path("run").rglob("*") if file.is_file())
    return "\n".join((ending.output, *files))


def shown_of(secret: str, everything: str) -> list[str]:
    """The pieces of a secret that are long enough to be of use."""
    size = min(CUT, len(secret))
    pieces = {secret[at : at + size] for at in range(len(secret) - size + 1)}
    return [piece for piece in sorted(pieces) if piece in everything]


def hidden(ending: Ending, *secrets: str) -> Ending:
    """The ending, if nothing that was printed or written shows one of these."""
    everything = seen(ending)
    assert not [piece for secret in secrets for piece in shown_of(secret, everything)]
    return ending


def in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_honest_a_run_without_echoes_passes() -> None:
    with endpoint(lambda _: (200, json.dumps(chat("word-0 word-1")).encode())) as url:
        assert run(url).green


SHOWN = {
    "plain": KEY,
    "bearer": f"Authorization: Bearer {KEY}",
    "json": json.dumps({"error": {"message": f"bad key {KEY}"}}),
    "basic, user of 1": f"Basic {in_base64('u:' + KEY)}",
    "basic, user of 2": f"Basic {in_base64('us:' + KEY)}",
    "basic, user of 3": f"Basic {in_base64('use:' + KEY)}",
    "base64 alone": in_base64(KEY),
    "base64 for urls": base64.urlsafe_b64encode(b"\xff\xfe" + KEY.encode()).decode(),
    "hexadecimal": KEY.encode().hex(),
    "capital hexadecimal": KEY.encode().hex().upper(),
    "many times": KEY * 40,
}
ODD_SHOWN = {
    "plain": ODD,
    "json": in_json(ODD),
    "json in json": in_json(in_json(ODD)),
    "solidus escaped": in_json(ODD).replace("/", "\\/"),
    "url": quote(ODD, safe=""),
    "url in small letters": quote(ODD, safe="").replace("%2F", "%2f").replace("%3C", "%3c"),
    "path": quote(ODD),
    "html": html.escape(ODD),
    "html with numbers": html.escape(ODD).replace("&#x27;", "&#39;"),
    "python": repr(ODD)[1:-1],
    "base64": in_base64("bob:" + ODD)[8:-4],
}
LINES = "-----BEGIN-----\nMIIEowIBAAKCAQEA1234\nqqqqwwwweeeerrrr5678\n-----END-----\n"
ENVIRONMENT = {
    "LLMGATE_API_KEY": KEY,
    "MLFLOW_TRACKING_PASSWORD": ODD,
    "HF_TOKEN": "hf_other0Secret1Value2",
    "OPENAI_API_KEY": "oa_other0Secret1Value2",
    "LLMGATE_JUDGE_API_KEY": "ju_other0Secret1Value2",
    "GH_PAT": "gh_other0Secret1Value2\n",
    "DB_PASSWORD": "correct horse battery",
    "DATABASE": "postgres://me:hidden-pass-1@db/x",
    "WEBHOOK": "https://h/?api_key=hidden-pass-2&x=1",
    "SIGNING_KEY": LINES,
}
FIELDS: dict[str, dict[str, Any]] = {
    "text": {"message": {"content": f"{WRONG} {KEY}"}},
    "finish reason": {"finish_reason": KEY},
    "tool call": {"message": {"tool_calls": [{"function": {"name": "f", "arguments": json.dumps({"key": KEY})}}]}},
    "log probability": {"logprobs": {"content": [{"token": KEY, "logprob": -0.5}]}},
}
Row = tuple[Reply, tuple[str, ...]]
"""What the endpoint replies, and what must not be seen of it."""
ROWS: dict[str, Row] = {
    **{f"cut at {at}": ((500, b"x" * at + KEY.encode() + b"y" * 90), (KEY,))
       for at in (0, 200, 244, 255, 270, 280, 287, 288, 289, 290, 299, 300, 301)},
    **{f"{how}, {status}": ((status, (" " * 250 + text).encode()), (text.removesuffix('"}}').split()[-1], KEY))
       for how, text in SHOWN.items() for status in (200, 302, 401, 500)},
    **{f"password, {how}": ((500, (" " * 290 + text).encode()), (text,)) for how, text in ODD_SHOWN.items()},
    **{name: ((500, f"said {value}".encode()), (value.strip(),))
       for name, value in ENVIRONMENT.items() if "other0" in value or "horse" in value},
    "password in a URL": ((500, b"connected as hidden-pass-1"), ("hidden-pass-1",)),
    "key in a URL": ((500, b"called with hidden-pass-2"), ("hidden-pass-2",)),
    "lines of a key": ((500, b"MIIEowIBAAKCAQEA1234 qqqqwwwweeeerrrr5678"), ("MIIEowIBAAKCAQEA1234", "qqqqwwwweeeerrrr5678")),
    **{f"answer, {field}": ((200, json.dumps(chat(WRONG, **extra)).encode()), (KEY,)) for field, extra in FIELDS.items()},
}  # fmt: skip


REFUSED = [name for name, ((status, _), _) in ROWS.items() if status == 401]
"""The key is wrong, which ends a run: each has one of its own."""


def replied(folder: Path, rows: Sequence[str]) -> tuple[Ending, str]:
    """A run whose endpoint replies with these rows: how it ended, and all that can be seen of it."""
    replies = [ROWS[name][0] for name in rows]
    with pytest.MonkeyPatch.context() as patch, endpoint(lambda case: replies[case]) as url:
        patch.chdir(folder)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        write_suite(folder, cases=len(replies), gate="min: 0.1")
        ending = run(url)
        return ending, seen(ending)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ending, str]:
    """One run for all rows that do not end it."""
    return replied(tmp_path_factory.mktemp("said"), [row for row in ROWS if row not in REFUSED])


@pytest.mark.parametrize("row", [row for row in ROWS if row not in REFUSED])
def test_an_endpoint_that_repeats_a_secret(
    attempt: Callable[[Ending], None], row: str, said: tuple[Ending, str]
) -> None:
    ending, everything = said
    assert "[redacted]" in everything
    assert ending.verdict in {"FAIL", "INCONCLUSIVE"}
    for text in ROWS[row][1]:
        assert not shown_of(text, everything)
    attempt(ending)


@pytest.mark.parametrize("row", REFUSED)
def test_an_endpoint_that_refuses_and_repeats_a_secret(
    attempt: Callable[[Ending], None], row: str, tmp_path: Path
) -> None:
    folder = tmp_path / "refused"
    folder.mkdir()
    ending, everything = replied(folder, [row])
    assert ending.exit_code == EXIT_CANNOT_RUN
    for text in ROWS[row][1]:
        assert not shown_of(text, everything)
    attempt(ending)


def test_a_variable_that_is_not_called_a_secret(
    attempt: Callable[[Ending], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY", "quiet.value.12345")
    attempt(hidden(asked((500, b"quiet.value.12345"), "--api-key-env", "GATEWAY"), "quiet.value.12345"))


def test_a_variable_that_pyproject_names(
    attempt: Callable[[Ending], None], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY", "quiet.value.12345")
    (project / "pyproject.toml").write_text('[tool.llmgate]\napi-key-env = "GATEWAY"\n', encoding="utf-8")
    listed = b'{"data": [{"id": "quiet.value.12345"}, {"id": "b"}]}'
    attempt(hidden(asked((500, b"quiet.value.12345"), models=listed), "quiet.value.12345"))


@pytest.mark.parametrize(
    "models", [f'{{"data": [{{"id": "{KEY}"}}]}}', f'{{"data": [{{"id": "{KEY}"}}, {{"id": "b"}}]}}']
)
def test_a_model_called_by_the_key(attempt: Callable[[Ending], None], models: str) -> None:
    attempt(hidden(asked((500, b""), models=models.encode()), KEY))


def test_a_secret_of_digits_leaves_numbers_whole(
    attempt: Callable[[Ending], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "12345678")
    reply = json.dumps(chat(WRONG, logprobs={"content": [{"token": "12345678", "logprob": -1.123456789}]})).encode()
    ending = asked((200, reply))
    assert "cannot be understood" not in ending.output
    assert ending.verdict == "INCONCLUSIVE"
    attempt(ending)


URLS = [
    "http://bob:sup3rs3cret9pw@{host}/v1",
    "http://sup3rs3cret9pw@{host}/v1",
    "http://:sup3rs3cret9pw@{host}/v1",
    "http://bob:sup3rs3cret9pw@{host}",
    "http://bob:sup3rs3cret9pw%40x@{host}/v1",
    "http://bob:a@sup3rs3cret9pw@{host}/v1",
    "http://bob:a/sup3rs3cret9pw@{host}/v1",
    "http://bob:a?sup3rs3cret9pw@{host}/v1",
    "http://bob:a#sup3rs3cret9pw@{host}/v1",
    "bob:sup3rs3cret9pw@{host}/v1",
    "ftp://bob:sup3rs3cret9pw@{host}/v1",
    "http://[bob:sup3rs3cret9pw@{host}/v1",
    "http://{host}/v1?api_key=sup3rs3cret9pw",
    "http://{host}/v1?key=sup3rs3cret9pw",
    "http://{host}/v1?a=b&sig=sup3rs3cret9pw",
    "http://{host}?token=sup3rs3cret9pw",
    "http://{host}/v1#sup3rs3cret9pw",
    "http://{host}/v1?sup3rs3cret9pw@x",
]


@pytest.mark.parametrize("url", URLS)
def test_credentials_in_the_url(attempt: Callable[[Ending], None], url: str) -> None:
    with endpoint(lambda _: (200, json.dumps(chat("word-0 word-1")).encode())) as good:
        ending = hidden(run(url.format(host=good.removeprefix("http://"))), "sup3rs3cret9pw")
    assert "LLMGATE_API_KEY" in ending.output
    attempt(ending)


@pytest.mark.parametrize("option", ["--judge-endpoint", "--embed-endpoint", "--judges"])
@pytest.mark.parametrize("url", ["http://bob:sup3rs3cret9pw@h/v1", "http://h/v1?api_key=sup3rs3cret9pw"])
def test_credentials_in_other_urls(attempt: Callable[[Ending], None], option: str, url: str) -> None:
    given = f"strict={url}" if option == "--judges" else url
    attempt(hidden(asked((200, json.dumps(chat("word-0 word-1")).encode()), option, given), "sup3rs3cret9pw"))


@pytest.mark.parametrize(
    "judges",
    [
        "http://bob:sup3rs3cret9pw@h/v1",
        "a=http://h a=http://bob:sup3rs3cret9pw@h",
        "a=m@http://bob:sup3rs3cret9pw@h",
        "=http://bob:sup3rs3cret9pw@h",
    ],
)
def test_credentials_in_judges_that_cannot_be_read(attempt: Callable[[Ending], None], judges: str) -> None:
    attempt(hidden(run("http://127.0.0.1:9", "--judges", judges), "sup3rs3cret9pw"))


def test_credentials_in_pyproject(attempt: Callable[[Ending], None], project: Path) -> None:
    text = '[tool.llmgate]\nendpoint = "http://bob:sup3rs3cret9pw@127.0.0.1:9/v1"\n'
    (project / "pyproject.toml").write_text(text, encoding="utf-8")
    attempt(hidden(llmgate("run", "words.yaml"), "sup3rs3cret9pw"))


def test_credentials_in_the_url_of_a_measurement(attempt: Callable[[Ending], None]) -> None:
    attempt(
        hidden(llmgate("bench", "words.yaml", "--endpoint", "http://b:sup3rs3cret9pw@127.0.0.1:9"), "sup3rs3cret9pw")
    )


def test_credentials_of_the_registry(attempt: Callable[[Ending], None]) -> None:
    listed = b'{"data": [{"id": "sup3rs3cret9pw"}, {"id": "b"}]}'
    uri = "http://bob:sup3rs3cret9pw@127.0.0.1:9"
    attempt(hidden(asked((500, b""), "--mlflow-uri", uri, models=listed), "sup3rs3cret9pw"))


@pytest.mark.parametrize(
    "key", [f"{KEY}\n", f"{KEY}\r\n", f" {KEY}", f"{KEY}é", f"{KEY}\n{KEY}", f"{KEY}\x7f", "ключ-ключ"]
)
def test_a_key_that_no_header_can_carry(
    attempt: Callable[[Ending], None], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMGATE_API_KEY", key)
    ending = hidden(asked((200, json.dumps(chat("word-0 word-1")).encode())), KEY, key)
    assert "LLMGATE_API_KEY has a character that no HTTP header can carry" in ending.output
    assert ending.exit_code == 2
    attempt(ending)


def test_a_key_that_is_too_short_is_warned_of_once(
    attempt: Callable[[Ending], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMGATE_API_KEY", "short")
    ending = asked((500, b"no"))
    assert ending.output.count("LLMGATE_API_KEY has fewer than 8 characters") == 1
    attempt(ending)


@pytest.mark.parametrize(
    "url", ["http://bob:sup3rs3cret9pw@127.0.0.1:9/v1", "http://127.0.0.1:9/v1?api_key=sup3rs3cret9pw"]
)
def test_credentials_in_the_url_under_pytest(
    attempt: Callable[[Ending], None], url: str, pytester: pytest.Pytester
) -> None:
    write_suite(pytester.path, cases=2, gate="min: 0.1")
    done = pytester.runpytest_inprocess("words.yaml", f"--llmgate-endpoint={url}", "--llmgate-out=run")
    output = done.stdout.str() + done.stderr.str()
    assert "LLMGATE_API_KEY" in output
    attempt(hidden(Ending(exit_code=int(done.ret), output=output), "sup3rs3cret9pw"))
