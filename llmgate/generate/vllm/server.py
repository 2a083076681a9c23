"""A vLLM server that llmgate starts, watches and ends.

The process tree belongs to a supervisor (`supervisor.py`), so that it ends with this process however that ends.
"""

from __future__ import annotations

import http.client
import os
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from llmgate.errors import ServerError
from llmgate.generate.vllm.checks import check_gpus, config_file_flags, find_engine, gpus_wanted, reserve_port
from llmgate.generate.vllm.command import Device, ServerSpec, command
from llmgate.generate.vllm.death import Cause, explain, useful_lines
from llmgate.generate.vllm.gpus import find_gpus
from llmgate.generate.vllm.known_names import check_names
from llmgate.generate.vllm.log import ServerPhase, log_tail, open_log, phase_of, silent
from llmgate.generate.vllm.machine import FEW_CORES, core_count, has_bfloat16, oom_kills, start_lock
from llmgate.generate.vllm.model_folder import check_model, is_quantized, model_folder
from llmgate.generate.vllm.probe import Probe
from llmgate.generate.vllm.process import ServerProcess
from llmgate.generate.vllm.shaping import check_unchanged, shape
from llmgate.generate.vllm.tree import EngineTasks, own_engine, server_tasks
from llmgate.record.manifest import ServerIdentity

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from llmgate.generate.vllm.checks import Engine
    from llmgate.generate.vllm.command import ServerCommand
    from llmgate.generate.vllm.log import OnProgress
    from llmgate.generate.vllm.shaping import Shaped

__all__ = ["Device", "Server", "ServerPhase", "ServerSpec", "launch"]

HUNG_GRACE_S = 1.0
"""What hangs does not end in order."""
GRACE_S = 20.0
"""For an orderly end; vLLM 0.32 needs half a second, more while requests are running."""
POLL_S = 0.1
LAST_WORDS_S = 5.0
"""A failed request is often the first sign of a dying server, whose own words say more; this long it may take."""
DETAIL_S = 5.0
STILL_S = 15.0


class Server:
    """A server process tree that this process owns. Made by `launch`; ends with `stop`.

    Methods may be called from several threads.

    Attributes:
        spec: What was asked for.
        port: The port it listens on.
        log_path: Where its output goes.
    """

    def __init__(
        self,
        spec: ServerSpec,
        *,
        process: ServerProcess,
        built: ServerCommand,
        engine: Engine,
        held_port: tuple[socket.socket, int],
        log_path: Path,
        on_progress: OnProgress,
        shaped: Shaped,
    ) -> None:
        self.spec = spec
        self.log_path = log_path
        self._held, self.port = held_port
        self._process = process
        self._built = built
        self._version = engine.version
        self._shaped = shaped
        self._on_progress = on_progress
        self._probe = Probe(url=self.url, api_key=built.env.get("VLLM_API_KEY"))
        self._guard = threading.RLock()
        self._launched = time.monotonic()
        self._oom_kills = oom_kills()
        self._log_offset = 0
        self._log_rest = ""
        self._phase: ServerPhase | None = None
        self._reported = 0.0
        self._ready = False
        self._stopped = False
        self._engine = EngineTasks()
        self._ended: str | None = None

    @property
    def probe(self) -> Probe:
        """Asks it."""
        return self._probe

    @property
    def url(self) -> str:
        """Base URL without a path, for example `http://127.0.0.1:8000`."""
        host = self.spec.connect_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def phase(self) -> ServerPhase | None:
        """How far the start has come, as far as `wait_ready` has seen it."""
        return self._phase

    @property
    def pid(self) -> int | None:
        """Process id of the API server, None while it waits for its turn."""
        self._process.poll()
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def alive(self) -> bool:
        """Whether the server's process is running, or waiting for its turn to start."""
        self._process.poll()
        return not self._process.ended

    def death_reason(self) -> str | None:
        """Why it ended, or is of no use any more, in one sentence; None while it serves and after `stop`."""
        if self._stopped:
            return None
        # The first account is kept: what dies later dies of it. The client asks before each request.
        if self._ended is None and (not self.alive() or self._engine.lost() is not None):
            self._ended = self._cause().what
        return self._ended

    def give_up(self, why: str) -> None:
        """End a server that still runs and is of no use any more.

        Args:
            why: What `death_reason` says from now on.
        """
        with self._guard:
            if self._stopped:
                return
            self._ended = why
        self._process.end(HUNG_GRACE_S)

    def wait_ready(self, check: Callable[[], None] = lambda: None) -> None:
        """Wait until the server answers: `/health`, its model's name, and one completion.

        Args:
            check: Called several times a second; what it raises ends the wait.

        Raises:
            ServerError: If it ends, does not answer in time, or does not serve what was asked for. The error tells
                the cause, a fix, and the last useful lines of the log. The server is not stopped by this.
        """
        while not self._ready:
            check()
            if not self.alive():
                raise self._death()
            self._follow()
            self._check_time()
            self._sign_of_life()
            if self._process.pid is not None and self._probe.healthy():
                self._report(ServerPhase.WARMING)
                self._try_out()
            else:
                time.sleep(POLL_S)

    def identity(self) -> ServerIdentity:
        """What serves: engine, version and the flags that shape its behaviour, without addresses and names."""
        return ServerIdentity(
            engine="vllm", version=self._version, owned=True, flags=self._built.engine_flags, url=self.url
        )

    def stop(self, grace_s: float = GRACE_S) -> None:
        """End the server and everything that it started. Does nothing the second time.

        Args:
            grace_s: Seconds between SIGTERM and SIGKILL.

        Raises:
            ServerError: If a process could not be ended.
        """
        with self._guard:
            if self._stopped:
                return
            served = self._ready and self.alive()
            self._stopped = True
        self._held.close()
        left = self._process.end(grace_s)
        if left:
            raise ServerError(
                f"processes of the server could not be ended: {', '.join(map(str, left))}",
                where=self._where,
                fix="They hang in the kernel, often in a GPU driver; end them by hand or restart the machine",
            )
        if self.spec.log_path is None and served:
            for file in (self.log_path, self._shaped.template):
                file.unlink(missing_ok=True)

    @property
    def _where(self) -> str:
        return f"vLLM server for {self.spec.served_name}"

    def _report(self, phase: ServerPhase, detail: str = "") -> None:
        now = time.monotonic()
        # Weights can come in hundreds of shards: within a phase, now and then is enough.
        repeats = phase is self._phase and (not detail or now - self._reported < DETAIL_S)
        if repeats or (self._phase is not None and phase.rank < self._phase.rank):
            return
        self._phase, self._reported = phase, now
        after = f" after {now - self._launched:.0f} s" if now - self._launched >= 1 else ""
        self._on_progress(f"vLLM: {phase}{f' ({detail})' if detail else ''}{after}")

    def _sign_of_life(self) -> None:
        """Repeat the phase now and then: compiling can take minutes without a line in the log."""
        now = time.monotonic()
        if self._phase is not None and now - self._reported >= STILL_S:
            self._reported = now
            self._on_progress(f"vLLM: still {self._phase} after {now - self._launched:.0f} s")

    def _follow(self) -> None:
        """Turn news of the process and of its log into progress."""
        process = self._process
        if process.pid is not None:
            self._report(ServerPhase.IMPORTING)
        elif process.waiting_for is not None:
            self._report(ServerPhase.WAITING)
        with self.log_path.open("rb") as log:
            log.seek(self._log_offset)
            fresh = log.read()
        self._log_offset += len(fresh)
        text = self._log_rest + fresh.decode("utf-8", errors="replace").replace("\r", "\n")
        *lines, self._log_rest = text.split("\n")
        for line in lines:
            step = phase_of(line)
            if step is not None:
                self._report(*step)

    def _check_time(self) -> None:
        limit = self.spec.startup_timeout_s
        if self._remaining_s() > 0:
            return
        if self._process.started_at is None:
            raise ServerError(
                f"another server on this machine has been starting for more than {limit:.0f} s",
                where=self._where,
                fix=f"Look at process {self._process.waiting_for}, which started it, or raise the startup timeout",
            )
        stopped = "".join(f"; {task.told()}" for task in server_tasks(self._process.pid or 0) if task.stopped)
        raise ServerError(
            f"it was not ready within {limit:.0f} s; it was still {self._phase}{stopped}",
            where=self._where,
            fix=self._with_log("Raise the startup timeout, or see what it waits for"),
        )

    def _remaining_s(self) -> float:
        started = self._process.started_at
        since = self._launched if started is None else started
        return since + self.spec.startup_timeout_s - time.monotonic()

    def _try_out(self) -> None:
        try:
            version = self._probe.try_out(self.spec.served_name, timeout_s=max(1.0, self._remaining_s()))
        except (OSError, http.client.HTTPException) as error:
            deadline = time.monotonic() + LAST_WORDS_S
            while self.alive() and time.monotonic() < deadline:
                time.sleep(POLL_S)
            if not self.alive():
                raise self._death() from error
            raise ServerError(
                f"it was healthy, but a first request failed: {type(error).__name__} {error}",
                where=self._where,
                fix=self._with_log("Its log may say why"),
            ) from error
        if not self.alive():
            raise self._death()
        self._engine = own_engine(self._process.pid or 0, port=self.port, where=self._where)
        self._version = version or self._version
        check_unchanged(self._shaped.held)
        self._ready = True
        self._held.close()
        self._report(ServerPhase.READY)

    def _cause(self) -> Cause:
        process = self._process
        if process.failed is not None:
            return Cause(what=f"the server could not be executed: {process.failed}", fix="Check the interpreter's path")
        lost = self._engine.lost(now=True) if self.alive() else None
        if process.status is None and lost is None:
            return Cause(
                what=f"the server's supervisor was ended (status {process.supervisor_status})",
                fix="Find out who ended it; the server goes down with it",
            )
        killed = max(0, oom_kills() - self._oom_kills)
        # What went wrong while it started did not keep it from starting.
        log = log_tail(self.log_path, since=self._log_offset if self._ready else 0)
        return explain(log, status=process.status, out_of_memory_kills=killed, lost=str(lost or ""))

    def _with_log(self, fix: str) -> str:
        lines = useful_lines(log_tail(self.log_path))
        shown = "".join(f"\n  {line}" for line in lines) or "\n  (nothing)"
        return f"{fix}\nLast useful lines of {self.log_path}:{shown}".lstrip()

    def _death(self) -> ServerError:
        cause = self._cause()
        return ServerError(cause.what, where=self._where, fix=self._with_log(cause.fix))


def launch(spec: ServerSpec, *, on_progress: OnProgress = silent) -> Server:
    """Check what can be checked, then start the server without waiting for it.

    Args:
        spec: What to start.
        on_progress: Receives a line of text per step, while `wait_ready` runs.

    Returns:
        The server, which is alive but not ready. Stop it, or use it as a context manager.

    Raises:
        ServerError: If it cannot work: no such model folder, no weights, no vLLM, a port that is taken.
        UsageError: If a flag names what the installed vLLM does not know, more GPUs than there are, or a file that
            cannot be read.
    """
    if not sys.platform.startswith("linux"):
        raise ServerError(
            f"llmgate starts servers on Linux only, and this is {sys.platform}",
            fix="Start the server yourself and give its URL",
        )
    folder = model_folder(spec.model)
    if folder is not None:
        check_model(folder, flags=spec.flags, allow_pickle=spec.allow_pickle)
    config_flags = config_file_flags(spec.flags)
    held_port = reserve_port(spec.host, spec.port)
    try:
        model = str(folder) if folder is not None else spec.model
        preview = command(spec, port=held_port[1], device=Device.GPU, inherited=os.environ, model=model)
        engine = find_engine(spec, preview.env)
        check_names(spec.flags, engine)
        if (gpus_wanted(spec.flags) or 1) > 1:
            check_gpus(spec.flags, engine, preview.env, find_gpus())
        log_fd, log_path = open_log(spec)
        try:
            shaped = shape(spec.flags, template=log_path.with_name(f"{log_path.stem}-chat-template.jinja"))
            built = command(
                replace(spec, flags=shaped.flags),
                port=held_port[1],
                device=engine.device,
                inherited=os.environ,
                model=model,
                config_flags=config_flags,
                widen=folder is not None and not is_quantized(folder) and not has_bfloat16(),
                all_cores=core_count() <= FEW_CORES,
                entrypoint=engine.entrypoint,
                recorded=shaped.recorded,
            )
            process = ServerProcess(
                built.argv,
                env=built.env,
                log_fd=log_fd,
                lock=start_lock(),
                health=(spec.connect_host, held_port[1]),
                scratch=True,
            )
        except BaseException:
            if spec.log_path is None:
                log_path.unlink(missing_ok=True)
            raise
        finally:
            os.close(log_fd)
    except BaseException:
        held_port[0].close()
        raise
    return Server(
        spec,
        process=process,
        built=built,
        engine=engine,
        held_port=held_port,
        log_path=log_path,
        on_progress=on_progress,
        shaped=shaped,
    )
