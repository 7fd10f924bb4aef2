# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What is downloaded: an artifact of data/stack.yml, its address in a mirror, and where a server may send us. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

_PORTS = {"http": 80, "https": 443}
_SCHEMES = ("https", "http", "file")
_IN_A_PATH = "/:+~@,=!$&'()*;"
"""Characters of a path that an address may hold as they are (RFC 3986, pchar)."""


@dataclass(frozen=True)
class Artifact:
    """A file with an address, and what holds it: its sha256, or the full fingerprint of the key that signed it."""

    url: str
    sha256: str = ""
    signer: str = ""
    signature: str = ""
    key: str = ""
    unverified: str = ""


def read_artifact(given: Mapping[str, Any]) -> Artifact:
    """An artifact map of the catalogue. A stated digest or signer counts before ``unverified``."""
    known = bool(given.get("sha256") or given.get("signer"))
    return Artifact(
        url=given["url"],
        sha256=given.get("sha256") or "",
        signer=given.get("signer") or "",
        signature=(given.get("signature") or {}).get("url", ""),
        key=(given.get("key") or {}).get("url", ""),
        unverified="" if known else given.get("unverified") or "nothing is stated that it could be held to",
    )


def held(artifact: Artifact) -> Artifact:
    """The same artifact; refused where nothing is stated that the download could be held to."""
    for address in (artifact.url, artifact.signature, artifact.key):
        open_address(address)
    if artifact.unverified:
        raise TrainingError(
            f"{origin(artifact.url)} is unverified ({artifact.unverified})",
            "state its sha256, or its signer, and verified_from in stack_overrides",
        )
    if artifact.signer and not artifact.sha256 and not (artifact.signature and artifact.key):
        raise TrainingError(
            f"{origin(artifact.url)} is held to signer {artifact.signer}, and its signature or key has no address",
            "give signature: {url: …} and key: {url: …} beside signer",
        )
    return artifact


def origin(url: str) -> str:
    """The address without a name, a password and a query, as it may be shown and noted."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def open_address(url: str) -> str:
    """The same address; refused where it holds a password, which logs and files that all may read would show."""
    if "@" in urlsplit(url).netloc:
        raise TrainingError(f"the address {origin(url)} holds a name or a password", "give one that needs neither")
    return url


def place(url: str) -> str:
    """Where a mirror keeps what comes from an address: ``<host>/<path>``; ``local/<path>`` for a file."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or (parts.scheme != "file" and not parts.hostname):
        raise TrainingError(
            f"{origin(url)!r} is no address of a download", "one that starts with https://, or file:///"
        )
    host = parts.netloc.rpartition("@")[2].lower().replace(":", "_") if parts.hostname else "local"
    return f"{host}/{safe_path(unquote(parts.path).lstrip('/'), url)}".rstrip("/")


def safe_path(path: str, whose: str) -> str:
    """A path from below a folder, normalised; refused where it leads out of the folder."""
    kept = os.path.normpath(path) if path else ""
    if kept.startswith(("/", "..")) or "\0" in kept or "\n" in kept:
        raise TrainingError(f"{origin(whose)} names the path {path!r}, which leads out of its folder", "do not use it")
    return "" if kept == "." else kept


def mirror_address(mirror: str) -> str:
    """A mirror, given as an absolute folder or as an address, as an address without a slash at its end."""
    folder = os.path.expanduser(mirror)
    if folder.startswith("/"):
        return f"file://{quote(os.path.normpath(folder), safe=_IN_A_PATH)}"
    if urlsplit(mirror).scheme not in _SCHEMES:
        raise TrainingError(
            f"artifact_mirror={mirror!r} is no mirror", "an absolute folder, or an http or https address"
        )
    return open_address(mirror).rstrip("/")


def mirrored(url: str, mirror: str) -> str:
    """The address from which an artifact is taken: its own, or the mirror's in place of every origin."""
    return f"{mirror_address(mirror)}/{quote(place(url), safe=_IN_A_PATH)}" if mirror else url


def joined(base: str, path: str) -> str:
    """The address of a path below a base address."""
    return f"{base.rstrip('/')}/{quote(path, safe=_IN_A_PATH)}"


def redirect_refusal(start: str, here: str, there: str, allowed: Mapping[str, Sequence[str]]) -> str:
    """Why a redirect is not followed; empty where it is.

    The same host may redirect, also from http to https. Another host has to be named for the host of the first address.

    :param start: the address that was asked for.
    :param here: the address that redirects, the same or one that it redirected to.
    """
    old, new = urlsplit(here), urlsplit(there)
    if new.scheme not in _PORTS or (old.scheme == "https" and new.scheme == "http"):
        return f"{origin(start)} redirects to {origin(there)}, which is not https"
    same_host = old.hostname == new.hostname
    same_port = (old.port or _PORTS[old.scheme]) == (new.port or _PORTS[new.scheme])
    to_https = (old.scheme, new.scheme) == ("http", "https") and not old.port and not new.port
    if same_host and (same_port or to_https):
        return ""
    if new.netloc in allowed.get(urlsplit(start).netloc, ()):
        return ""
    return f"{origin(start)} redirects to another host, {new.netloc.rpartition('@')[2]}"
