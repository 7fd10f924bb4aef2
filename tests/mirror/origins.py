"""Origins on this machine that serve files as they should, or break off, redirect and answer as they should not."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass
class Origin:
    """Files by path, and what goes wrong with some of them.

    :param cuts: path: bytes after which each answer breaks off.
    :param redirects: path: the address to go to.
    :param busy: path: how many requests are answered with 503 first.
    :param ranges: whether a part of a file can be asked for.
    :param heads: whether a size can be asked for without the file.
    """

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    cuts: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    busy: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    heads: bool = True
    asked: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"

    def serve_folder(self, folder: Path) -> None:
        """Serve what lies under a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.files[str(path.relative_to(folder))] = path.read_bytes()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away before the end, as one does whose disk is full."""


@contextmanager
def origin(host: str = "127.0.0.1") -> Iterator[Origin]:
    """A server on a free port of a loopback address."""
    served = Origin("")

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(self.path.lstrip("/"))
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            served.asked.append(f"{self.command} {path}{f' from {wanted[1]}' if wanted else ''}")
            if self.command == "HEAD" and not served.heads:
                return self._plain(403)
            if served.busy.get(path, 0) > 0:
                served.busy[path] -= 1
                return self._plain(503)
            if path in served.redirects:
                return self._plain(302, {"Location": served.redirects[path]})
            if path not in served.files:
                return self._plain(404)
            data, start = served.files[path], 0
            headers: dict[str, str] = {}
            if wanted and served.ranges:
                start = int(wanted[1])
                if start >= len(data):
                    return self._plain(416)
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.send_response(206 if headers else 200)
            self.send_header("Content-Length", str(len(data) - start))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                end = start + served.cuts[path] if path in served.cuts else len(data)
                self.wfile.write(data[start:end])
            return None

        def _plain(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server((host, 0), Handler)
    served.address = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Keys:
    """A GnuPG of its own, whose keys are made for one session of tests and lie nowhere else."""

    home: Path

    def gpg(self, *words: str, data: bytes = b"", at: str | None = None) -> bytes:
        """:param at: the day that GnuPG believes it is, 20200101T000000."""
        clock = ["--faked-system-time", at] if at else []
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
        ran = subprocess.run(
            [*command, "--passphrase", "", *clock, *words], input=data, capture_output=True, check=False
        )
        assert ran.returncode == 0, ran.stderr.decode()
        return ran.stdout

    def make(self, name: str, lasts: str = "never", at: str | None = None) -> str:
        """The fingerprint of a new key that can sign."""
        self.gpg("--quick-generate-key", f"{name} (test) <{name}@example.org>", "ed25519", "sign", lasts, at=at)
        listed = self.gpg("--list-keys", "--with-colons", f"{name}@example.org").decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))

    def public(self, *signers: str, armour: bool = True) -> bytes:
        return self.gpg(*(["--armor"] if armour else []), "--export", *signers)

    def sign(self, signer: str, data: bytes, at: str | None = None, lasts: str | None = None) -> bytes:
        """A detached signature."""
        ends = ["--default-sig-expire", lasts] if lasts else []
        return self.gpg("--local-user", signer, *ends, "--detach-sign", data=data, at=at)

    def clear_sign(self, signer: str, data: bytes, at: str | None = None, lasts: str | None = None) -> bytes:
        ends = ["--default-sig-expire", lasts] if lasts else []
        return self.gpg("--local-user", signer, *ends, "--clear-sign", data=data, at=at)


@contextmanager
def keys() -> Iterator[Keys]:
    """Ends the agent that GnuPG starts, and removes the keys."""
    # not under the caller's folder: the path of gpg-agent's socket has at most 107 letters
    home = Path(tempfile.mkdtemp(prefix="adt-keys-"))
    try:
        yield Keys(home)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)
