"""Code that ends itself or the sandbox around it has failed. Much of it was an error, which leaves the denominator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.sandboxed import CALLS

if TYPE_CHECKING:
    from support.identity import Identity

KILLERS = {
    "SIGKILL to itself": "import os; os.kill(os.getpid(), 9)",
    "SIGKILL to its group": "import os; os.killpg(0, 9)",
    "SIGKILL to all": "import os; os.fork(); os.kill(-1, 9); os.kill(os.getpid(), 9)",
    "SIGINT to its parent": "import os, time; os.kill(os.getppid(), 2); time.sleep(0.1); os._exit(1)",
    "every signal to its parent": (
        "import os\nfor number in range(1, 65):\n  try: os.kill(os.getppid(), number)\n  except OSError: pass\nos._exit(1)"
    ),
    "stopping itself": "import os; os.kill(os.getpid(), 19)",
    "stopping, and a child that goes on": "import os, time\nif os.fork(): os.kill(os.getpid(), 19)\ntime.sleep(60)",
    "memory, all of it": (
        "import os\nfor _ in range(9):\n  if not os.fork():\n    held = []\n    while True:\n"
        "      try: held.append(b'1' * 2**20)\n      except MemoryError: pass\nos.wait(); os.wait(); os._exit(1)"
    ),
    "memory, alone": "held = []\nwhile True: held.append(bytearray(2**20))",
    "a stack without end": "import sys; sys.setrecursionlimit(10**9)\ndef f(): return f()\nf()",
    "the disk": "n = 0\nwhile True:\n  n += 1; open(str(n), 'wb').write(bytes(10**6))",
    "one large file": "file = open('a', 'wb')\nwhile True: file.write(bytes(10**6))",
    "files without number": "n = 0\nwhile True:\n  n += 1; open(str(n), 'w').close()",
    "closing every descriptor": "import os; os.closerange(0, 4096)",
    "closing them and living on": "import os, time; os.closerange(0, 4096); time.sleep(60)",
    "a fork bomb": "import os\nwhile True: os.fork()",
    "a patient fork bomb": "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass",
    "threads without end": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
    "processor time": "while True: pass",
    "a segmentation fault": "import ctypes; ctypes.string_at(0)",
    "abort": "import os; os.abort()",
    "a call that kills": CALLS + "call(0x40000000 + 39); os._exit(1)",
    "an orphan that holds the output": "import os, time\nif os.fork(): os._exit(3)\nos.setsid(); time.sleep(60)",
    "ending at once": "import os; os._exit(0)",
    "sys.exit": "import sys; sys.exit(0)",
    "an exception from nowhere": "import ctypes; ctypes.pythonapi.Py_FatalError(b'over')",
    "no memory from the start": "import resource; resource.setrlimit(resource.RLIMIT_AS, (1, 1)); bytearray(2**26)",
    "output without end": "while True: print('x' * 9999)",
}
JUDGE = """
import json, sys
from llmgate import evaluate_assert
spec = {"type": "code-executes", "value": "assert double(2) == 4", "config": {"timeout": 1.5, "memory_mb": 128}}
for code in json.loads(sys.argv[1]):
    found = evaluate_assert(spec, "```python\\ndef double(x): return 2 * x\\n" + code + "\\n```")
    print(json.dumps([found.outcome, found.score, found.reason]))
"""


@pytest.mark.parametrize("part", range(2))
def test_code_that_kills_itself_has_failed(identity: Identity, part: int) -> None:
    killers = dict(list(KILLERS.items())[part::2])
    command = ("-c", JUDGE, json.dumps(list(killers.values())))
    done = identity.python(*command, env={"LLMGATE_ALLOW_CODE": "1"}, timeout=120)
    said = dict(zip(killers, map(json.loads, done.stdout.splitlines()), strict=False))
    assert len(said) == len(killers), done.stderr
    assert {name: found for name, found in said.items() if found[:2] != ["fail", 0.0]} == {}
