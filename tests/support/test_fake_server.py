"""The fake keeps its promises; what is asserted with it would otherwise mean nothing."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from support.fake_server import FakeServer, Fault, every

MESSAGES = {"messages": [{"role": "user", "content": "one two three"}]}


def post(server: FakeServer, body: Any, *, path: str = "/v1/chat/completions", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=5)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def get(server: FakeServer, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_it_echoes_and_counts() -> None:
    with FakeServer() as server:
        status, text = post(server, MESSAGES)
        answer = json.loads(text)
        assert status == 200
        assert answer["choices"][0]["message"]["content"] == "one two three"
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
        assert server.seen[0].json == MESSAGES
        assert [running for _, running in server.samples] == [1, 0]
        assert server.peak == 1


def test_it_cuts_and_fills() -> None:
    with FakeServer(answer=lambda _body: "a b c") as server:
        cut = json.loads(post(server, {**MESSAGES, "max_tokens": 2})[1])["choices"][0]
        assert (cut["message"]["content"], cut["finish_reason"]) == ("a b", "length")
        body = {"prompt": "x", "max_tokens": 7, "ignore_eos": True}
        filled = json.loads(post(server, body, path="/v1/completions")[1])
        assert filled["choices"][0]["text"] == "a b c a b c a"
        assert filled["usage"]["completion_tokens"] == 7


def test_a_stream_joins_to_the_text() -> None:
    with FakeServer(role_chunk=True) as server:
        body = {**MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
        lines = [line[6:] for line in post(server, body)[1].splitlines() if line.startswith("data: ")]
        assert lines[-1] == "[DONE]"
        events = [json.loads(line) for line in lines[:-1]]
        deltas = [event["choices"][0]["delta"] for event in events[:-1]]
        assert deltas[0] == {"role": "assistant", "content": ""}
        assert "".join(delta["content"] for delta in deltas) == "one two three"
        assert events[-1]["usage"]["completion_tokens"] == 3
        assert len(server.truth[0].tokens_s) == 3


def test_other_routes() -> None:
    with FakeServer(model="m") as server:
        post(server, MESSAGES)
        assert get(server, "/health")[0] == 200
        assert json.loads(get(server, "/v1/models")[1])["data"][0]["id"] == "m"
        assert "version" in json.loads(get(server, "/version")[1])
        assert "vllm:time_to_first_token_seconds_count{engine" in get(server, "/metrics")[1]
        assert len(json.loads(get(server, "/truth")[1])) == 1
        assert get(server, "/nowhere")[0] == 404


@pytest.mark.parametrize("fault", [Fault.HTTP_400, Fault.HTTP_500, Fault.RATE_LIMITED, Fault.REDIRECT])
def test_status_faults(fault: Fault) -> None:
    with FakeServer(faults={2: fault}) as server:
        statuses = [post(server, MESSAGES)[0] for _ in range(3)]
    assert statuses == [200, 302 if fault is Fault.REDIRECT else int(fault.value), 200]


@pytest.mark.parametrize("stream", [False, True])
def test_broken_faults(stream: bool) -> None:
    body = {**MESSAGES, "stream": stream}
    with FakeServer(faults={1: Fault.CUT, 2: Fault.GARBAGE}) as server:
        with pytest.raises(http.client.IncompleteRead):
            post(server, body)
        with pytest.raises(http.client.HTTPException):
            post(server, body)
        assert post(server, body)[0] == 200


def test_every_nth_and_a_key() -> None:
    with FakeServer(faults=every(3, Fault.HTTP_500), api_key="k") as server:
        assert post(server, MESSAGES)[0] == 401
        statuses = [post(server, MESSAGES, Authorization="Bearer k")[0] for _ in range(6)]
    assert statuses == [200, 200, 500, 200, 200, 500]


def test_slots_queue() -> None:
    with FakeServer(ttft_s=0.03, slots=2) as server:
        threads = [threading.Thread(target=post, args=(server, MESSAGES)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.truth) == 6
    assert server.peak == 2
    assert max(one.started_s - one.read_s for one in server.truth) > 0.02


def test_lockstep_answers_only_while_enough_are_in_flight() -> None:
    with FakeServer(lockstep=(2, 3)) as server:
        first = http.client.HTTPConnection(server.host, server.port, timeout=0.2)
        first.request("POST", "/v1/chat/completions", json.dumps(MESSAGES))
        with pytest.raises(TimeoutError):
            first.getresponse()
        first.close()
        # The second waits for the third, which is the last to come.
        second = threading.Thread(target=post, args=(server, MESSAGES))
        second.start()
        assert post(server, MESSAGES)[0] == 200
        second.join()
        assert sorted(one.number for one in server.truth) == [2, 3]


def test_a_silent_request_gives_its_slot_back_when_the_client_leaves() -> None:
    with FakeServer(slots=1, faults={1: Fault.SILENT}) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=0.1)
        connection.request("POST", "/v1/chat/completions", json.dumps(MESSAGES))
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
        assert post(server, MESSAGES)[0] == 200


def test_it_dies_when_told() -> None:
    with FakeServer(die_after=1) as server:
        assert post(server, MESSAGES)[0] == 200
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            post(server, MESSAGES)
        with pytest.raises(ConnectionError):
            post(server, MESSAGES)
        assert not server.alive


def test_a_bad_answer_function_is_a_500() -> None:
    with FakeServer(answer=lambda body: str(body["nope"])) as server:
        status, text = post(server, MESSAGES)
    assert status == 500
    assert "nope" in text


def test_a_port_in_use_is_an_error() -> None:
    with FakeServer() as server, pytest.raises(OSError, match="in use"), FakeServer(port=server.port):
        pass


def test_it_runs_as_a_script() -> None:
    script = Path(__file__).with_name("fake_server.py")
    command = [sys.executable, str(script), "--port", "0", "--ttft-ms", "0", "--itl-ms", "0", "--words", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rsplit(":", 1)[1])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("POST", "/v1/chat/completions", json.dumps(MESSAGES))
            answer = json.loads(connection.getresponse().read())
            connection.close()
        finally:
            process.terminate()
    assert answer["choices"][0]["message"]["content"] == "hello hello hello hello hello"
