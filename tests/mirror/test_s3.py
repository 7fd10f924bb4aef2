# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A mirror's folder brought to S3, which moto stands in for."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import mirror_s3
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from moto import mock_aws

FILES = {
    "mirror.json": b"{}",
    "mirror.asc": b"key",
    "apt.example.com/ubuntu/dists/noble/InRelease": b"signed",
    "apt.example.com/ubuntu/dists/noble/main/binary-amd64/Packages.gz": b"index",
    "apt.example.com/ubuntu/pool/a_1_amd64.deb": b"package",
    "yum.example.com/repodata/repomd.xml": b"<repomd/>",
    "yum.example.com/repodata/repomd.xml.asc": b"signature",
    "yum.example.com/repodata/primary.xml.gz": b"index",
    "yum.example.com/a-1.x86_64.rpm": b"package",
}
ADDRESS = "s3://our-mirror/stacks/long_term"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, data in {**FILES, ".partial/begun": b"half"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return tmp_path


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        bucket = boto3.resource("s3").create_bucket(Bucket="our-mirror")
        yield bucket


def quiet(line: str) -> None:
    """What is said goes nowhere."""


def held(bucket: Any) -> dict[str, bytes]:
    """What the bucket has."""
    return {entry.key: entry.get()["Body"].read() for entry in bucket.objects.all()}


def test_the_bucket_gets_every_file_under_the_prefix_and_nothing_that_is_not_whole(folder: Path, bucket: Any) -> None:
    uploaded = mirror_s3.sync(str(folder), ADDRESS, quiet)
    assert held(bucket) == {f"stacks/long_term/{path}": data for path, data in FILES.items()}
    assert sorted(uploaded) == sorted(FILES)
    about = bucket.Object("stacks/long_term/mirror.asc").get(ChecksumMode="ENABLED")
    assert about["Metadata"] == {"sha256": hashlib.sha256(b"key").hexdigest()}
    assert about["ChecksumSHA256"]


def test_no_index_is_there_before_what_it_names(folder: Path, bucket: Any) -> None:
    uploaded = mirror_s3.sync(str(folder), ADDRESS, quiet)
    deb, packages, release = (
        next(i for i, path in enumerate(uploaded) if path.endswith(end)) for end in (".deb", "Packages.gz", "InRelease")
    )
    rpm, primary, repomd, signature = (
        next(i for i, path in enumerate(uploaded) if path.endswith(end))
        for end in (".rpm", "primary.xml.gz", "repomd.xml", "repomd.xml.asc")
    )
    assert deb < packages < release
    assert rpm < primary < repomd < signature
    assert uploaded[-1] == "mirror.json"


def test_a_second_call_uploads_what_changed_alone(folder: Path, bucket: Any) -> None:
    mirror_s3.sync(str(folder), ADDRESS, quiet)
    assert mirror_s3.sync(str(folder), ADDRESS, quiet) == []
    (folder / "mirror.asc").write_bytes(b"yek")  # as long as before
    bucket.Object("stacks/long_term/yum.example.com/a-1.x86_64.rpm").put(Body=b"altered")  # of the same length too
    assert mirror_s3.sync(str(folder), ADDRESS, quiet) == ["mirror.asc", "yum.example.com/a-1.x86_64.rpm"]
    assert held(bucket)["stacks/long_term/yum.example.com/a-1.x86_64.rpm"] == b"package"


@pytest.mark.parametrize("address", ["our-mirror", "https://our-mirror", "s3://", "s3://Our_Mirror", "s3:///prefix"])
def test_what_is_no_bucket_is_refused(folder: Path, address: str) -> None:
    with pytest.raises(TrainingError, match=r"is no address of a bucket; fix: s3://BUCKET"):
        mirror_s3.sync(str(folder), address, quiet)


@pytest.mark.parametrize(
    ("address", "prefix"), [("s3://our-mirror", ""), ("s3://our-mirror/", ""), ("s3://our-mirror//a/b//", "a/b/")]
)
def test_a_prefix_ends_in_one_slash(address: str, prefix: str) -> None:
    assert mirror_s3.target(address) == ("our-mirror", prefix)


def test_a_bucket_that_is_not_there_is_told_in_one_line(folder: Path, bucket: Any) -> None:
    with pytest.raises(TrainingError) as refused:
        mirror_s3.sync(str(folder), "s3://another-mirror", quiet)
    assert str(refused.value).startswith("s3://another-mirror/: ")
    assert "NoSuchBucket" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_python_without_boto3_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "boto3":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TrainingError, match=r"needs boto3, .*; fix: pip install boto3"):
        mirror_s3.sync(str(folder), ADDRESS, quiet)
