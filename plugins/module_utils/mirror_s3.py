# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A mirror's folder brought to S3: no reader meets an index of packages that are not there yet. Controller only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any, Callable

from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact_download import sha256_of
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

Say = Callable[[str], None]

_ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*?))?/*")
_SIGNED = ("Release", "Release.gpg", "repomd.xml", "repomd.xml.asc", "InRelease")
"""What readers fetch first, and of which each names what comes before it here."""


def target(address: str) -> tuple[str, str]:
    """Bucket, and a prefix that ends in a slash or is empty, of s3://BUCKET/PREFIX."""
    match = _ADDRESS.fullmatch(address)
    if not match:
        raise TrainingError(f"mirror_s3={address!r} is no address of a bucket", "s3://BUCKET or s3://BUCKET/PREFIX")
    return match["bucket"], f"{match['prefix'].strip('/')}/" if match["prefix"] else ""


def in_order(paths: Iterable[str]) -> list[str]:
    """Paths of a mirror as they are to be uploaded: files, indexes, signed indexes, then the mirror's own record."""

    def place(path: str) -> tuple[int, str]:
        name = os.path.basename(path)
        if path == "mirror.json":
            return 9, path
        if name in _SIGNED:
            return 2 + _SIGNED.index(name), path
        is_index = name.startswith("Packages") or os.path.basename(os.path.dirname(path)) == "repodata"
        return int(is_index), path

    return sorted(paths, key=place)


def files_of(folder: str) -> list[str]:
    """The files of a mirror, from its folder, without what is not for readers: names that begin with a dot."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [os.path.relpath(os.path.join(place, name), folder) for name in names if not name.startswith(".")]
    return found


def sync(folder: str, address: str, say: Say) -> list[str]:
    """Upload what S3 does not have in this form; returns the paths. Nothing is removed there.

    An object is the file where its size and its metadata ``sha256`` are; S3 holds each upload to a checksum of its own.
    """
    try:
        import boto3
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise TrainingError(
            "mirror_s3 needs boto3, which this Python does not have", "pip install boto3 beside ansible-core"
        ) from None
    bucket, prefix = target(address)
    try:
        client = boto3.client("s3")
        sizes = {
            entry["Key"]: entry["Size"]
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            for entry in page.get("Contents", [])
        }
        uploaded = []
        for path in in_order(files_of(folder)):
            local = os.path.join(folder, path)
            have, key = sha256_of(local), f"{prefix}{path}"
            if sizes.get(key) == have.size and _digest(client, bucket, key) == have.sha256:
                continue
            uploaded.append(path)
            say(f"upload {path} ({have.size} bytes)")
            extra = {"Metadata": {"sha256": have.sha256}, "ChecksumAlgorithm": "SHA256"}
            client.upload_file(local, bucket, key, ExtraArgs=extra)
    except (BotoCoreError, ClientError, S3UploadFailedError) as error:
        raise TrainingError(
            f"s3://{bucket}/{prefix}: {error}",
            "see that the bucket is there and your credentials may write to it",
        ) from None
    return uploaded


def _digest(client: Any, bucket: str, key: str) -> str:
    """The sha256 that an object's metadata states; empty where it states none."""
    stated: str = client.head_object(Bucket=bucket, Key=key)["Metadata"].get("sha256", "")
    return stated
