# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Downloads: resumed, counted, hashed while they are read, kept on their host, and held to a digest or a signature."""

from __future__ import annotations

import errno
import hashlib
import http.client
import io
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Callable, NamedTuple
from urllib.parse import unquote, urlsplit

from ansible_collections.awsome.distributed_training.plugins.module_utils import artifact_openpgp
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import (
    Artifact,
    held,
    mirrored,
    origin,
    redirect_refusal,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

_CHUNK = 1 << 20
_SMALL = 1 << 20
"""Most bytes of a key or a signature: those of the catalogue have some thousand."""

_BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers that another attempt may turn into a file (RFC 9110, RFC 6585)."""

_NO_HEAD = (403, 405, 501)
"""Answers to HEAD that say nothing of GET: addresses that are signed for one method do so."""

Progress = Callable[[int, "int | None"], None]
"""Told the bytes that are there, and the bytes of the whole file where that is known."""


@dataclass(frozen=True)
class Options:
    """How to download.

    :param redirects: host: other hosts that it may redirect to.
    :param attempts: that may fail one after the other without a byte more.
    """

    redirects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    timeout_s: float = 60
    attempts: int = 4
    sleep: Callable[[float], None] = time.sleep
    progress: Progress = lambda have, whole: None


class Fetched(NamedTuple):
    """A file that was downloaded, or found."""

    sha256: str
    size: int


class Proof(NamedTuple):
    """What a file was held to: ``digest`` or ``signature``, and the signature and the public key, where it has them."""

    sha256: str
    size: int
    verified: str
    signature: bytes
    key: bytes


class MissingError(TrainingError):
    """A file that its server, or the mirror, does not have."""


class _Interrupted(Exception):  # noqa: N818
    """A transfer that another attempt may complete."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects within the first address's host, and to hosts that are named for it."""

    def __init__(self, start: str, allowed: Mapping[str, Sequence[str]]) -> None:
        self._start, self._allowed = start, allowed

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        """Refuses by TrainingError, which urllib lets through."""
        reason = redirect_refusal(self._start, req.full_url, newurl, self._allowed)
        if reason:
            fp.close()
            raise TrainingError(
                reason, "use artifact_mirror; or, where that host is the origin's own, name it in artifact_redirects"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Answer(NamedTuple):
    """An open transfer: from which byte it starts, and the bytes of the whole file (None: not known)."""

    stream: IO[bytes]
    start: int
    whole: int | None


def _open(url: str, start: int, options: Options, method: str = "GET") -> _Answer:
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = unquote(parts.path)
        try:
            stream: IO[bytes] = open(path, "rb")  # noqa: SIM115 - the caller closes it
        except FileNotFoundError:
            raise MissingError(
                f"{url}: there is no such file", "see that the address, or the mirror, is right"
            ) from None
        except OSError as error:
            raise TrainingError(f"{url}: {error.strerror}", "make it readable for this user") from None
        stream.seek(start)
        return _Answer(stream, start, os.fstat(stream.fileno()).st_size)
    if parts.scheme not in ("http", "https"):
        raise TrainingError(f"{origin(url)!r} is no address of a download", "an https address")
    headers = {"User-Agent": "awsome.distributed_training", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    opener = urllib.request.build_opener(_Redirects(url, options.redirects))
    try:
        answer = opener.open(urllib.request.Request(url, headers=headers, method=method), timeout=options.timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and start:  # there is no byte after what is here: either all, or something else
                return _open(url, 0, options, method)
            if method == "HEAD" and error.code in _NO_HEAD:
                return _Answer(io.BytesIO(), 0, None)
            if error.code in _BUSY:
                raise _Interrupted(f"answers {error.code} {error.reason}") from None
            fix = "see that the address, or the mirror, is right; a version may be gone from its origin"
            refused = MissingError if error.code in (404, 410) else TrainingError
            raise refused(f"{origin(url)}: {error.code} {error.reason}", fix) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise _Interrupted(f"cannot be reached: {getattr(reason, 'strerror', None) or reason}") from None
    begins = start if answer.status == 206 else 0
    if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        answer.close()
        return _open(url, 0, options, method)
    length = answer.headers.get("Content-Length")
    return _Answer(answer, begins, begins + int(length) if length and length.isdigit() else None)


def size_of(url: str, options: Options) -> int | None:
    """Bytes of a file as its server states them; None where it does not. A missing file is refused."""
    try:
        answer = _open(url, 0, options, "HEAD")
    except _Interrupted as error:
        raise TrainingError(f"{origin(url)} {error}", _UNREACHABLE) from None
    with answer.stream:
        return answer.whole


_UNREACHABLE = "see that this machine reaches it, or set artifact_mirror"


def fetch(url: str, partial: str, options: Options, most: int | None = None) -> Fetched:
    """Download into a file; what an earlier call left in it is gone on with.

    :param partial: path of the file; made with mode 0600.
    :param most: bytes that it may have at most.
    """
    best, failures, digest = -1, 0, hashlib.sha256()
    with open(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b") as file:
        while True:
            try:
                whole = _attempt(url, file, partial, options, most)
                break
            except _Interrupted as error:
                have = file.seek(0, os.SEEK_END)
                failures = 1 if have > best else failures + 1
                best = max(best, have)
                if failures >= options.attempts:
                    raise TrainingError(f"{origin(url)} {error}", _UNREACHABLE) from None
                options.sleep(min(2.0**failures, 30))
        file.seek(0)
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            digest.update(chunk)
    return Fetched(digest.hexdigest(), whole)


def _attempt(url: str, file: IO[bytes], partial: str, options: Options, most: int | None) -> int:
    """Bytes of the file once it is complete."""
    answer = _open(url, file.seek(0, os.SEEK_END), options)
    with answer.stream:
        have = file.seek(answer.start)
        file.truncate()
        if most is not None and (answer.whole or 0) > most:
            raise TrainingError(f"{origin(url)} has {answer.whole} bytes, and at most {most} are expected", _CHANGED)
        _see_room(partial, url, (answer.whole or 0) - have)
        while True:
            try:
                chunk = answer.stream.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _Interrupted(f"broke off after {have} bytes: {error}") from None
            if not chunk:
                break
            have += len(chunk)
            if most is not None and have > most:
                raise TrainingError(f"{origin(url)} has more than the {most} bytes that are expected", _CHANGED)
            try:
                file.write(chunk)
                file.flush()
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise _no_room(partial, url, (answer.whole or have) - have + len(chunk)) from None
            options.progress(have, answer.whole)
    if answer.whole is not None and have != answer.whole:
        raise _Interrupted(f"is cut short: {have} of {answer.whole} bytes came")
    return have


_CHANGED = "do not use it; see whether its origin or the mirror was changed"


def _see_room(partial: str, url: str, needed: int) -> None:
    if needed > free_bytes(partial):
        raise _no_room(partial, url, needed)


def _no_room(partial: str, url: str, needed: int) -> TrainingError:
    return TrainingError(
        f"the disk of {os.path.dirname(os.path.abspath(partial))} is full: {origin(url)} needs {needed} bytes more, "
        f"and {free_bytes(partial)} are free",
        "make room, or choose another folder",
    )


def free_bytes(path: str) -> int:
    """Bytes that an ordinary user may still write to the file system of a path."""
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize


def fetch_bytes(url: str, options: Options, most: int = _SMALL) -> bytes:
    """A small file, in memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        fetch(url, path, options, most)
        with open(path, "rb") as file:
            return file.read()


def sha256_of(path: str) -> Fetched:
    """Digest and size of a file on this machine."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            digest.update(chunk)
            size += len(chunk)
    return Fetched(digest.hexdigest(), size)


def bring(artifact: Artifact, partial: str, options: Options, mirror: str = "", keep_partial: bool = False) -> Proof:
    """Download an artifact and hold it to what is stated of it; nothing is left of one that is refused.

    :param partial: where it is downloaded to, and where it lies afterwards. What a stopped call left there is resumed.
    :param mirror: takes the place of the origin.
    :param keep_partial: leave what came of a download that broke off.
    """
    held(artifact)
    url = mirrored(artifact.url, mirror)
    complete = False
    try:
        # signature and key come first: without them a large download would be for nothing
        signature, key = signature_and_key(artifact, options, mirror)
        leftover = os.path.exists(partial) and os.path.getsize(partial) > 0
        fetched = fetch(url, partial, options)
        complete = True
        try:
            return prove(artifact, partial, fetched, signature, key)
        except TrainingError:
            if not leftover:
                raise
            os.unlink(partial)
            return prove(artifact, partial, fetch(url, partial, options), signature, key)
    except (TrainingError, OSError):
        if os.path.exists(partial) and (complete or not keep_partial):
            os.unlink(partial)
        raise


def signature_and_key(artifact: Artifact, options: Options, mirror: str = "") -> tuple[bytes, bytes]:
    """The signature of an artifact that is held to its signer, and the packets of the signer's key; else nothing."""
    if not artifact.signer or not artifact.signature:
        return b"", b""
    address = mirrored(artifact.key, mirror)
    key = artifact_openpgp.pinned_key(fetch_bytes(address, options), artifact.signer, origin(address))
    return fetch_bytes(mirrored(artifact.signature, mirror), options), key


def prove(artifact: Artifact, path: str, fetched: Fetched, signature: bytes, key: bytes) -> Proof:
    """Hold a file to the digest and to the signer that are stated."""
    if artifact.sha256 and fetched.sha256 != artifact.sha256:
        raise TrainingError(
            f"{origin(artifact.url)} has sha256 {fetched.sha256}, and {artifact.sha256} is stated", _CHANGED
        )
    if artifact.signer and signature:
        artifact_openpgp.verify_detached(path, signature, key, artifact.signer, origin(artifact.url))
    return Proof(fetched.sha256, fetched.size, "digest" if artifact.sha256 else "signature", signature, key)
