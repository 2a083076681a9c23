"""What is said, and what still holds, on a machine that lacks a mechanism; each is left out in turn."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.sandboxed import CALLS, Escape, escape

from llmgate.score.code.mechanisms import MECHANISMS, Mechanisms, table

if TYPE_CHECKING:
    from support.identity import Identity

NAMES = [one.name for one in MECHANISMS]


def test_everything_is_in_force_or_named(identity: Identity) -> None:
    (ended,) = escape(identity, ["print(1)"])
    assert ended.finished
    assert ended.open_because is None
    assert ended.in_force.keys() | ended.missing.keys() == set(NAMES)
    assert not ended.in_force.keys() & ended.missing.keys()
    assert {"namespaces", "seccomp"} <= ended.in_force.keys()


@pytest.mark.parametrize("name", ["namespaces", "seccomp"])
def test_without_what_is_needed_nothing_runs(identity: Identity, name: str) -> None:
    (ended,) = escape(identity, ["print(1)"], without=[name])
    assert ended.error is not None
    assert f"the sandbox could not be set up: JailError: {name}: left out" in ended.error
    assert ended.output == ""


@pytest.mark.parametrize("name", ["memory", "landlock", "keyring"])
def test_without_the_others_it_runs_and_says_so(identity: Identity, name: str) -> None:
    (ended,) = escape(identity, ["print(1)"], without=[name])
    assert (ended.finished, ended.open_because) == (True, None)
    assert ended.missing[name] == "left out to try that"


def test_each_wall_holds_alone(identity: Identity) -> None:
    # No Landlock: namespaces keep files away. No namespaces: Landlock does, for a user who has them otherwise.
    code = "try: print(open('/etc/passwd').read())\nexcept OSError as error: print(type(error).__name__)"
    (alone,) = escape(identity, [code], without=["landlock", "memory", "keyring"])
    assert alone.lines == ["FileNotFoundError"]


def may_start(ended: Escape) -> bool:
    """Whether the user as whom root runs code can execute the interpreter, which may lie in root's own folder."""
    return ended.error is None or "Permission denied" not in ended.error


def keep_apart(ended: Escape) -> None:
    """Skip where it cannot start, or is refused as it should be: other tests of this user, at work now, hold secrets."""
    if not may_start(ended) or "unsandboxed code could read" in (ended.error or ""):
        pytest.skip(str(ended.error))


def outside(identity: Identity) -> str:
    """Reads, writes and signals what belongs to the user outside."""
    return (
        CALLS
        + f"""
import os, signal, socket
def attempt(name, action):
    try: action()
    except OSError as error: print(name, "denied")
    else: print(name, "done")
attempt("reads", lambda: open("/etc/passwd").read())
attempt("lists", lambda: os.listdir("/etc"))
attempt("environment", lambda: open(f"/proc/{{os.getppid()}}/environ", "rb").read())
attempt("writes", lambda: open({str(identity.folder / "planted")!r}, "w").write("x"))
attempt("signals", lambda: os.kill(os.getppid(), 0))
attempt("starts", lambda: os.posix_spawn("/bin/true", ["true"], {{}}))
attempt("own file", lambda: open("mine", "w").write("x"))
print("traces", call(101 if os.uname().machine == "x86_64" else 117, 16, os.getppid(), 0, 0))
"""
    )


def test_unsandboxed_code_is_held_by_landlock(identity: Identity) -> None:
    (ended,) = escape(identity, [outside(identity)], isolation="unsandboxed", without=["namespaces"])
    keep_apart(ended)
    assert ended.open_because == "left out to try that"
    if "landlock" not in ended.in_force:
        pytest.skip("the kernel has no Landlock")
    denied = ["reads", "lists", "environment", "writes", "signals", "starts"]
    assert [line for line in ended.lines if line.startswith(tuple(denied))] == [f"{name} denied" for name in denied]
    assert "own file done" in ended.lines
    assert "traces EPERM" in ended.lines
    assert not (identity.folder / "planted").exists()


def test_unsandboxed_code_without_landlock_can_do_what_the_docs_say(
    identity: Identity, request: pytest.FixtureRequest
) -> None:
    without = ["namespaces", "landlock"]
    (ended,) = escape(identity, [outside(identity)], isolation="unsandboxed", without=without)
    keep_apart(ended)
    assert "reads done" in ended.lines
    # Root runs it as a user who owns nothing.
    own = "denied" if request.node.callspec.params["identity"] == "root" else "done"
    assert {f"environment {own}", f"writes {own}", f"signals {own}"} <= set(ended.lines)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "HF_TOKEN", "MY_SECRET", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY"])
def test_unsandboxed_code_is_refused_while_it_could_read_a_secret(
    identity: Identity, request: pytest.FixtureRequest, name: str
) -> None:
    how = {"isolation": "unsandboxed", "without": ["namespaces"]}
    (refused,) = escape(identity, ["print(1)"], env={name: "hunter2hunter2"}, **how)  # type: ignore[arg-type]
    if request.node.callspec.params["identity"] == "root":
        assert refused.lines == ["1"] or not may_start(refused)
    else:
        assert refused.error is not None
        assert name in refused.error
        assert "hunter2" not in refused.error


def test_a_secret_of_another_process_of_the_same_user_counts(identity: Identity) -> None:
    code = (
        "import os, subprocess, sys\n"
        "other = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE, env={'A_TOKEN': 'abcdefgh'})\n"
        "from llmgate.errors import CannotRunError\n"
        "from llmgate.score.code.sandbox import *\n"
        "def attempt():\n"
        "    try: print(run_python([('a', 'print(1)')], isolation=Isolation.UNSANDBOXED, without=['namespaces']).output)\n"
        "    except CannotRunError as error: print(error)\n"
        "attempt()\n"
        "other.communicate(b'\\n')\n"
        "attempt()\n"
    )
    done = identity.python("-c", code)
    first, second = done.stdout.split("\n")[:2]
    if os.geteuid() == 0 and identity.uid is None:
        assert "A_TOKEN" not in first
    else:
        assert "A_TOKEN" in first, done.stderr
        assert second == "1"


def test_secrets_do_not_matter_where_code_is_shut_in(identity: Identity) -> None:
    (ended,) = escape(identity, ["print(1)"], isolation="unsandboxed", env={"OPENAI_API_KEY": "hunter2hunter2"})
    assert (ended.lines, ended.open_because) == (["1"], None)


def test_the_table_has_every_mechanism_and_says_what_is_missing() -> None:
    text = table(Mechanisms(in_force={"namespaces": "network"}, missing={"landlock": "Function not implemented"}))
    rows = text.splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == NAMES
    assert "| network |" in rows[0]
    assert "| missing: Function not implemented |" in rows[NAMES.index("landlock")]


def test_the_docs_have_the_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    for one in MECHANISMS:
        assert f"| {one.name} | {one.stops} | " in text
        assert f" | {one.without} |\n" in text


def test_a_jail_ends_with_the_one_who_started_it(identity: Identity) -> None:
    code = (
        "import os, threading, time\n"
        "from llmgate.score.code.sandbox import SandboxLimits, run_python\n"
        "how = {'limits': SandboxLimits(wall_s=31.0625)}\n"
        "parts = [('a', 'import time; time.sleep(60)')]\n"
        "threading.Thread(target=run_python, args=(parts,), kwargs=how, daemon=True).start()\n"
        "time.sleep(1)\n"
        "os._exit(0)\n"
    )
    assert identity.python("-c", code).returncode == 0
    # What keeps the time and the first process of the namespace have the settings on their command lines.
    deadline = time.monotonic() + 5
    while jails("31.0625") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert jails("31.0625") == []


def jails(mark: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "cmdline").read_text(errors="replace"):
                found.append(folder.name)
        except OSError:
            continue
    return found
