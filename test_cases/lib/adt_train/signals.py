"""The request to save and stop: pre-emption, a time limit, a person's Ctrl-C."""

from __future__ import annotations

import signal

EXIT_SAVED = 75
"""Exit status: the state is saved as asked, run me again."""


class StopRequest:
    """Remembers that SIGTERM, SIGINT or SIGUSR1 came; the loop looks between two steps."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        self.requested = True
