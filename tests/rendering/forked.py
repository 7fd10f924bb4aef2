"""Plays in processes forked from one that has imported Ansible: each takes a third of the time of a new one.

For tests of what a play says; that ansible-playbook starts it is tested elsewhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Queue

from ansible_collections.awsome.distributed_training.tests import support

Play = Callable[[Sequence[str], Path], "subprocess.CompletedProcess[str]"]

# a text, not a module of ours: Ansible has to be the first to import from the collection
_SERVER = """
import json, os, sys, tempfile
from ansible.cli.playbook import PlaybookCLI
import ansible.executor.process.worker, ansible.plugins.callback.default, ansible.plugins.strategy.linear

for line in sys.stdin:
    words, folder = json.loads(line)
    with tempfile.TemporaryFile() as shown:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(shown.fileno(), 1)
            os.dup2(shown.fileno(), 2)
            os.chdir(folder)
            PlaybookCLI.cli_executor(words)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        shown.seek(0)
        print(json.dumps([status, shown.read().decode()]), flush=True)
"""


@contextmanager
def plays(at_once: int) -> Iterator[Play]:
    """What does as ``support.play`` does, so many times at once."""
    environment = {**os.environ, "PATH": f"{support.BIN}:{os.environ['PATH']}", "VIRTUAL_ENV": str(support.BIN.parent)}
    idle: Queue[subprocess.Popen[str]] = Queue()

    def play(args: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        words = ["ansible-playbook", support.PLAYBOOK, *args]
        server = idle.get()
        assert server.stdin is not None
        assert server.stdout is not None
        print(json.dumps([words, str(cwd)]), file=server.stdin, flush=True)
        status, shown = json.loads(server.stdout.readline())
        idle.put(server)
        return subprocess.CompletedProcess(words, status, shown)

    with ExitStack() as ending:
        for _ in range(at_once):
            words = [sys.executable, "-c", _SERVER]
            server = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            idle.put(ending.enter_context(server))
        yield play
