"""Processes that promote at the same moment, and processes that die while they promote.

Run as a program it imports MLflow once and forks whoever races; a test that forked itself would take its threads along.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.mlflow_quiet import quiet
from support.gated_registry import MODEL, open_store

with quiet():
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

__all__ = ["POINTS", "Racers", "racers"]

POINTS = ("gate_promote", "gate_mirror", "set_registered_model_alias")
"""Where a process dies: before anything is written, with the ledger's row written, with the alias written too."""
WAIT_S = 300.0
"""For processes to be started on a machine that has much else to do."""


class Racers:
    """The program, as a test has it."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        self.program = program

    def ask(self, **command: Any) -> Any:
        """Give a command, and wait for what came of it."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        print(json.dumps(command), file=self.program.stdin, flush=True)
        answer = self.program.stdout.readline()
        assert answer, "the program has ended"
        return json.loads(answer)

    def run(self, versions: list[int]) -> list[tuple[int, str]]:
        """Each process promotes its version, all at once; what they were told, an empty text for success."""
        return [(int(version), text) for version, text in self.ask(race=versions)]

    def kill(self, version: int, point: str) -> None:
        """A process begins to promote a version, and is killed at a point."""
        assert self.ask(kill=version, point=point) == -signal.SIGKILL


@contextmanager
def racers(uri: str, policy: Path, count: int) -> Iterator[Racers]:
    """The program, with so many processes that wait for the same moment."""
    command = [sys.executable, "-m", "support.gated_races", uri, str(policy), str(count)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    program = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    try:
        yield Racers(program)
    finally:
        os.killpg(program.pid, signal.SIGKILL)
        program.communicate()


def race(uri: str, policy: Path, barrier: Any, tasks: Connection) -> None:
    """Promote what comes, together with the others."""
    with quiet():
        store = open_store(uri, policy)
        while True:
            version = tasks.recv()
            barrier.wait(WAIT_S)
            try:
                store.set_registered_model_alias(MODEL, "champion", str(version))
                tasks.send((version, ""))
            except Exception as error:  # noqa: BLE001 - the test judges it
                tasks.send((version, str(error)))


def promote_and_wait(uri: str, policy: Path, version: int, point: str, arrived: Connection) -> None:
    """Promote, and stop at a point inside of the transaction."""

    def stop() -> None:
        arrived.send(point)
        time.sleep(WAIT_S)

    with quiet():
        store = open_store(uri, policy)
        # MLflow's own method writes the alias; the guards are the store's.
        where = SqlAlchemyStore if point == "set_registered_model_alias" else type(store)
        real = getattr(where, point)

        def late(*arguments: Any) -> None:
            if point != "gate_promote":
                real(*arguments)
            stop()

        setattr(where, point, late)
        store.set_registered_model_alias(MODEL, "champion", str(version))


def told(pipe: Connection) -> bool:
    """Whether something came through a pipe, and not only its end."""
    try:
        return bool(pipe.recv())
    except EOFError:
        return False


def main(uri: str, policy: Path, count: int) -> None:
    """Do what the lines of standard input say."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count) if count else None
    pipes = [context.Pipe() for _ in range(count)]
    for _, theirs in pipes:
        context.Process(target=race, args=(uri, policy, barrier, theirs), daemon=True).start()
    for line in sys.stdin:
        command = json.loads(line)
        if "race" in command:
            for (ours, _), version in zip(pipes, command["race"], strict=True):
                ours.send(version)
            answer: Any = [ours.recv() for ours, _ in pipes]
        else:
            ours, theirs = context.Pipe()
            arguments = (uri, policy, command["kill"], command["point"], theirs)
            process = context.Process(target=promote_and_wait, args=arguments, daemon=True)
            process.start()
            # Else its end would not be seen if it ends by itself.
            theirs.close()
            arrived = ours.poll(WAIT_S) and told(ours)
            process.kill()
            process.join()
            answer = process.exitcode if arrived else "it did not get there"
        print(json.dumps(answer), flush=True)  # noqa: T201 - the protocol


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
