"""Small apt repositories, whole or with something wrong."""

from __future__ import annotations

import hashlib
from typing import Any

from ansible_collections.awsome.distributed_training.tests.mirror.origins import Keys, Origin
from ansible_collections.awsome.distributed_training.tests.stand_ins import deb
from ansible_collections.awsome.distributed_training.tests.stand_ins.package import Package

NAME, VERSION = "adt-tool", "1:1.2-3"


def flipped(data: bytes, at: int) -> bytes:
    """The same but for one bit of one byte."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def release(packages: bytes, fields: str = "") -> bytes:
    digest = hashlib.sha256(packages).hexdigest()
    head = "Origin: a test\nDate: Wed, 01 Jan 2020 00:00:00 UTC\nArchitectures: amd64 arm64\n"
    return f"{head}{fields}SHA256:\n {digest} {len(packages)} Packages\n".encode()


def packages_index(version: str = VERSION) -> tuple[bytes, dict[str, bytes]]:
    """A flat repository's Packages, and its packages by path."""
    package = Package(NAME, version, "all")
    data = deb.deb(package)
    fields = {
        **deb.control(package),
        "Filename": f"./{NAME}.deb",
        "Size": str(len(data)),
        "SHA256": hashlib.sha256(data).hexdigest(),
    }
    return deb.stanza(fields).encode(), {f"{NAME}.deb": data}


def serve(
    served: Origin,
    keys: Keys,
    place: str,
    signer: str,
    fields: str = "",
    at: str | None = None,
    lasts: str | None = None,
    key: str | None = None,
) -> dict[str, Any]:
    """A signed flat repository under a path of an origin; its entry in the form of the catalogue.

    :param signer: whose signature it has.
    :param key: whom the catalogue names, and whose key file is served; the signer where it is not given.
    """
    index, files = packages_index()
    message = release(index, fields)
    everything = {
        "Packages": index,
        "Release": message,
        "InRelease": keys.clear_sign(signer, message, at=at, lasts=lasts),
        "key.asc": keys.public(key or signer),
        **files,
    }
    for name, data in everything.items():
        served.files[f"{place}/{name}"] = data
    return entry(served, place, key or signer)


def entry(served: Origin, place: str, signer: str, version: str = VERSION) -> dict[str, Any]:
    """A repository as the catalogue states it."""
    stated = {"signer": signer, "verified_from": "calculated: made by a test"}
    return {
        "base": {"url": served.url(place), **stated},
        "key": {"url": served.url(f"{place}/key.asc"), **stated},
        "suite": "/",
        "packages": {NAME: version},
    }
