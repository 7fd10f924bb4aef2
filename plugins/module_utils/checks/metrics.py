# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Pages of Prometheus exporters: how a check reads one, and what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import Command, Reading

# no proxy of the environment: the page is this node's own
_FETCH = """\
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    sys.stdout.buffer.write(opener.open(sys.argv[1], timeout=10).read())
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error}")
"""

_SAMPLE = re.compile(r"(?P<name>[A-Za-z_:][\w:]*)(\{(?P<labels>.*)\})? (?P<value>\S+)( -?\d+)?")
_LABEL = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


@dataclass(frozen=True)
class Sample:
    """A line of a page."""

    name: str
    labels: Mapping[str, str]
    value: float


def page(listen: str) -> Command:
    """What reads the page of an exporter on its own node.

    :param listen: where it listens, ADDRESS:PORT or :PORT.
    """
    host, _, port = listen.rpartition(":")
    return Command(("python3", "-c", _FETCH, f"http://{_ANY.get(host, host)}:{port}/metrics"))


def samples(text: str) -> list[Sample]:
    """The samples of a page in Prometheus' text format 0.0.4."""
    found = []
    for line in text.splitlines():
        match = _SAMPLE.fullmatch(line.strip())
        if match:
            found.append(Sample(match["name"], dict(_LABEL.findall(match["labels"] or "")), float(match["value"])))
    return found


def unanswered(reading: Reading) -> str:
    """Why a page could not be read; empty where it was."""
    if reading.status == 0:
        return ""
    lines = reading.err.strip().splitlines()
    return lines[-1] if lines else f"status {reading.status}"
