"""The instance metadata service of a fake node, version 2 alone, as an instance with http_tokens=required has it.

Paths and headers: EC2 User Guide, "Use the Instance Metadata Service" and "Instance metadata categories". Addresses,
names and the account are made up.
"""

from __future__ import annotations

import http.server
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

_REGION, _ZONE, _ADDRESS, _ACCOUNT = "us-east-1", "us-east-1a", "10.0.0.10", "000000000000"


def tree(state: Mapping[str, Any]) -> dict[str, str]:
    """Path below /latest, and its text."""
    found = {
        "meta-data/instance-id": state["instance_id"],
        "meta-data/instance-type": state["type"],
        "meta-data/local-hostname": "ip-10-0-0-10.ec2.internal",
        "meta-data/local-ipv4": _ADDRESS,
        "meta-data/mac": _mac(0),
        "meta-data/placement/availability-zone": _ZONE,
        "meta-data/placement/region": _REGION,
        "meta-data/services/domain": "amazonaws.com",
    }
    for number, card in enumerate(state["cards"]):
        folder = f"meta-data/network/interfaces/macs/{_mac(number)}"
        found[f"{folder}/device-number"] = str(card["device"])
        found[f"{folder}/network-card"] = str(card["card"])
        found[f"{folder}/interface-id"] = f"eni-{number:017x}"
    identity = {
        "accountId": _ACCOUNT,
        "architecture": "arm64" if state["arch"] == "aarch64" else state["arch"],
        "availabilityZone": _ZONE,
        "instanceId": state["instance_id"],
        "instanceType": state["type"],
        "privateIp": _ADDRESS,
        "region": _REGION,
        "version": "2017-09-30",
    }
    found["dynamic/instance-identity/document"] = json.dumps(identity, indent=2)
    return found


def _mac(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def listed(files: Mapping[str, str], path: str) -> str | None:
    """A text, or the names in a folder, which end with a slash where they are folders; None where there is nothing."""
    if path in files:
        return files[path]
    start = f"{path.rstrip('/')}/" if path else ""
    rests = sorted(name[len(start) :] for name in files if name.startswith(start))
    names = dict.fromkeys(rest.partition("/")[0] + ("/" if "/" in rest else "") for rest in rests)
    return "\n".join(names) or None


def server(state: Mapping[str, Any], address: str, port: int) -> http.server.ThreadingHTTPServer:
    """A server that answers as the metadata service of the node would."""
    files, tokens = tree(state), dict[str, float]()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if self.path != "/latest/api/token":
                return self._send(404)
            if not seconds.isdigit() or not 1 <= int(seconds) <= 21600:
                return self._send(400)
            token = secrets.token_urlsafe(42)
            tokens[token] = time.monotonic() + int(seconds)
            return self._send(200, token)

        def do_GET(self) -> None:
            if tokens.get(self.headers.get("X-aws-ec2-metadata-token", ""), 0.0) < time.monotonic():
                return self._send(401)
            if not self.path.startswith("/latest/"):
                return self._send(404)
            text = listed(files, self.path[len("/latest/") :].rstrip("/"))
            return self._send(404) if text is None else self._send(200, text)

        def _send(self, status: int, text: str = "") -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    return http.server.ThreadingHTTPServer((address, port), Handler)
