"""A process that owns a server, for tests that kill it. Arguments: how it ends, the server's folder, mode and engine.

`ready` waits for the server and says `ready PID`; `launched` does not wait for it; `raise` fails inside the block;
`exit` leaves without stopping; `fork` says `ready PID FORK` and leaves a fork that holds all inherited pipes; `real`
starts the installed vLLM on the model folder instead.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from llmgate.generate.vllm.server import ServerSpec, launch
from support.servers import spec, start_server


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    how, folder, mode, engine = sys.argv[1:5]
    if how == "real":
        wanted = ServerSpec(model=folder, served_name="real")
    else:
        wanted = spec(Path(folder), mode=mode, engine=engine)
    if how == "launched":
        server = launch(wanted)
        while server.pid is None:
            time.sleep(0.01)
        say("launched")
        time.sleep(600)
    with start_server(wanted) as server:
        fork = os.fork() if how == "fork" else None
        if fork == 0:
            time.sleep(600)
        say("ready", server.pid, fork, server.url, *server.identity().flags)
        if how == "raise":
            raise RuntimeError("as tests do")
        if how == "exit":
            os._exit(0)
        # The real one serves whole files of tests, whose machine may be busy.
        time.sleep(3600 if how == "real" else 600)


if __name__ == "__main__":
    main()
