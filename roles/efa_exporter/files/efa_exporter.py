#!/usr/bin/python3
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Hardware counters of the node's EFA devices, as a page for Prometheus.

usage: efa_exporter.py --listen=ADDRESS:PORT --devices=/sys/class/infiniband

Names and labels are those of the EFA node exporter of awslabs/awsome-distributed-ai (3.efa-node-exporter), so that its
dashboards work: node_amazonefa_<counter>{device,port}. What is a counter there is one here but for lifespan, which is
how long the kernel keeps values, in ms. Every counter is served that a device has, known or not. Kernels that keep
some counters by device instead of by port (efa since Linux 5.14) have those beside the ports; they have no port label.
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "node_amazonefa_"
GAUGES = ("info", "lifespan")


@dataclass(frozen=True, order=True)
class Value:
    """A value of a device, or of one of its ports (empty: of the device itself)."""

    name: str
    device: str
    port: str
    value: int


@dataclass(frozen=True)
class Unreadable:
    """A counter that is there and does not say a number, and why."""

    why: str


def read_values(devices: str) -> Iterator[Value | Unreadable]:
    """Every hardware counter below a folder of devices."""
    for device in sorted(_names(devices)):
        yield Value("info", device, "", 1)
        folder = os.path.join(devices, device)
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "hw_counters", "*"))):
            yield _read(path, device, "")
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "ports", "*", "hw_counters", "*"))):
            yield _read(path, device, path.split(os.sep)[-3])


def _names(folder: str) -> list[str]:
    """None where the kernel has no RDMA devices at all."""
    return os.listdir(folder) if os.path.isdir(folder) else []


def _read(path: str, device: str, port: str) -> Value | Unreadable:
    try:
        with open(path, encoding="ascii") as file:
            return Value(os.path.basename(path), device, port, int(file.read()))
    except (OSError, ValueError) as error:
        return Unreadable(f"{path}: {error}")


def page(values: Iterable[Value | Unreadable]) -> str:
    """The page, in Prometheus' text format 0.0.4."""
    lines, last, whole = [], "", 1
    found = list(values)
    for value in sorted(one for one in found if isinstance(one, Value)):
        name = PREFIX + re.sub(r"\W", "_", value.name, flags=re.ASCII)
        if name != last:
            lines.append(f"# HELP {name} {_help(value.name)}")
            lines.append(f"# TYPE {name} {'gauge' if value.name in GAUGES else 'counter'}")
            last = name
        port = f',port="{_escaped(value.port)}"' if value.port else ""
        lines.append(f'{name}{{device="{_escaped(value.device)}"{port}}} {value.value}')
    if any(isinstance(one, Unreadable) for one in found):
        whole = 0
    lines.append("# HELP node_scrape_collector_success Whether every counter could be read.")
    lines.append("# TYPE node_scrape_collector_success gauge")
    lines.append(f'node_scrape_collector_success{{collector="amazonefa"}} {whole}')
    return "\n".join([*lines, ""])


def _help(name: str) -> str:
    known = {"info": "An RDMA device; always 1.", "lifespan": "How long the kernel keeps the values of a port, in ms."}
    return known.get(name, f"Hardware counter {name}.")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Server(ThreadingHTTPServer):
    """Serves the page of a folder of devices."""

    daemon_threads = True

    def __init__(self, listen: str, devices: str) -> None:
        """Listen at once.

        :param listen: ADDRESS:PORT, or :PORT for every IPv4 address; an IPv6 address in brackets.
        """
        host, _, port = listen.rpartition(":")
        self.address_family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        self.devices = devices
        super().__init__((host.strip("[]"), int(port)), Handler)


class Handler(BaseHTTPRequestHandler):
    """GET /metrics."""

    server: Server
    timeout = 30

    def do_GET(self) -> None:
        """Answer."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "the page is /metrics")
            return
        found = list(read_values(self.server.devices))
        for one in found:
            if isinstance(one, Unreadable):
                print(one.why, file=sys.stderr)
        text = page(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """A line for every scrape would fill the journal."""


def main(words: list[str]) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description="Hardware counters of EFA devices for Prometheus.")
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--devices", default="/sys/class/infiniband", metavar="FOLDER")
    given = parser.parse_args(words)
    Server(given.listen, given.devices).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
