"""Addresses, places in a mirror, redirects, and what is refused before anything is asked for."""

from __future__ import annotations

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import (
    Artifact,
    held,
    joined,
    mirror_address,
    mirrored,
    origin,
    place,
    read_artifact,
    redirect_refusal,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

SIGNER = "4E9091BCBB97A96B26B15E59A05480B1DD2D3CCC"
SIGNED = {
    "url": "https://vendor.example/a-1.0.tar.gz",
    "signer": SIGNER,
    "verified_from": "code(3)",
    "signature": {"url": "https://vendor.example/a-1.0.tar.gz.sig", "unverified": "held to its signer"},
    "key": {"url": "https://vendor.example/a.key", "signer": SIGNER, "verified_from": "code(3)"},
}


def test_a_signed_artifact_has_the_addresses_of_signature_and_key() -> None:
    assert held(read_artifact(SIGNED)) == Artifact(
        url="https://vendor.example/a-1.0.tar.gz",
        signer=SIGNER,
        signature="https://vendor.example/a-1.0.tar.gz.sig",
        key="https://vendor.example/a.key",
    )


def test_an_unverified_artifact_is_refused_with_its_reason() -> None:
    given = {"url": "https://vendor.example/a?token=secret", "unverified": "no digest was found"}
    with pytest.raises(TrainingError) as refused:
        held(read_artifact(given))
    assert str(refused.value) == (
        "https://vendor.example/a is unverified (no digest was found); "
        "fix: state its sha256, or its signer, and verified_from in stack_overrides"
    )


@pytest.mark.parametrize("url", ["https://me:secret@vendor.example/a", "https://token@vendor.example/a"])
def test_an_address_with_a_password_is_refused_without_showing_it(url: str) -> None:
    for refused_by in (lambda: held(Artifact(url, sha256="0" * 64)), lambda: mirror_address(url)):
        with pytest.raises(TrainingError) as refused:
            refused_by()
        assert str(refused.value) == (
            "the address https://vendor.example/a holds a name or a password; fix: give one that needs neither"
        )


def test_a_digest_that_the_user_stated_counts_before_unverified() -> None:
    given = {"url": "https://vendor.example/a", "unverified": "no digest was found", "sha256": "0" * 64}
    assert held(read_artifact(given)).sha256 == "0" * 64


def test_an_artifact_of_which_nothing_is_stated_is_refused() -> None:
    with pytest.raises(TrainingError, match="nothing is stated that it could be held to"):
        held(read_artifact({"url": "https://vendor.example/a"}))


def test_a_signer_without_a_signature_is_refused() -> None:
    with pytest.raises(TrainingError, match=f"held to signer {SIGNER}, and its signature or key has no address"):
        held(read_artifact({"url": "https://vendor.example/a", "signer": SIGNER}))


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://Vendor.example/dir/a%2Bb_1.0.deb", "vendor.example/dir/a+b_1.0.deb"),
        ("http://127.0.0.1:8080/vendor.example/a", "127.0.0.1_8080/vendor.example/a"),
        ("https://me:secret@vendor.example/a?token=secret#part", "vendor.example/a"),
        ("file:///srv/stand-ins/vendor.example/a", "local/srv/stand-ins/vendor.example/a"),
        ("https://vendor.example/", "vendor.example"),
    ],
)
def test_a_mirror_keeps_a_file_by_host_and_path(url: str, kept: str) -> None:
    assert place(url) == kept


@pytest.mark.parametrize("url", ["ftp://vendor.example/a", "vendor.example/a", "https:///a", "data:,a"])
def test_what_is_no_address_of_a_download_is_refused(url: str) -> None:
    with pytest.raises(TrainingError, match="is no address of a download; fix: "):
        place(url)


@pytest.mark.parametrize("path", ["/../etc/passwd", "/a/%2e%2e/%2e%2e/b", "/a%00b", "/%2e%2e"])
def test_a_path_that_leads_out_of_the_mirror_is_refused(path: str) -> None:
    with pytest.raises(TrainingError, match="leads out of its folder"):
        place(f"https://vendor.example{path}")


@pytest.mark.parametrize(
    ("mirror", "url"),
    [
        ("", "https://vendor.example/dir/a+b"),
        ("/srv/my mirror/", "file:///srv/my%20mirror/vendor.example/dir/a+b"),
        ("http://mirror.example:8080/x/", "http://mirror.example:8080/x/vendor.example/dir/a+b"),
    ],
)
def test_a_mirror_takes_the_place_of_the_origin(mirror: str, url: str) -> None:
    assert mirrored("https://vendor.example/dir/a+b", mirror) == url


def test_a_mirror_that_is_a_relative_folder_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"artifact_mirror='mirror/x' is no mirror; fix: an absolute folder, or"):
        mirror_address("mirror/x")


def test_a_path_below_a_base_is_the_name_of_a_file() -> None:
    assert joined("https://vendor.example/repo/", "a b/c%3ad") == "https://vendor.example/repo/a%20b/c%253ad"
    assert place(joined("https://vendor.example/repo/", "a b/c%3ad")) == "vendor.example/repo/a b/c%3ad"


ALLOWED = {"forge.example": ["assets.example"]}


@pytest.mark.parametrize(
    ("start", "here", "there"),
    [
        ("https://v.example/a", "https://v.example/a", "https://v.example/b"),
        ("http://v.example/a", "http://v.example/a", "https://v.example/a"),
        ("http://v.example:80/a", "http://v.example:80/a", "http://v.example/b"),
        ("https://forge.example/a", "https://forge.example/a", "https://assets.example/a?signature=x"),
        ("https://forge.example/a", "https://assets.example/a", "https://assets.example/b"),
    ],
)
def test_a_redirect_within_the_host_or_to_a_named_host_is_followed(start: str, here: str, there: str) -> None:
    assert redirect_refusal(start, here, there, ALLOWED) == ""


@pytest.mark.parametrize(
    ("start", "there", "reason"),
    [
        ("https://v.example/a", "https://w.example/a", "to another host, w.example"),
        ("https://v.example/a", "https://v.example.w.example/a", "to another host"),
        ("https://v.example/a", "https://v.example:8443/a", "to another host"),
        ("https://v.example/a", "https://assets.example/a", "to another host"),  # named for forge.example alone
        ("https://forge.example/a", "https://assets.example:8443/a", "to another host"),
        ("https://forge.example/a", "https://me@assets.example/a", "to another host, assets.example"),
        ("https://v.example/a", "http://v.example/a", "which is not https"),
        ("http://v.example:8080/a", "https://v.example/a", "to another host"),
        ("https://v.example/a", "ftp://v.example/a", "which is not https"),
        ("http://v.example/a", "file:///etc/shadow", "which is not https"),
    ],
)
def test_any_other_redirect_is_not(start: str, there: str, reason: str) -> None:
    assert reason in redirect_refusal(start, start, there, ALLOWED)


def test_an_address_is_shown_without_what_gives_access() -> None:
    assert origin("https://me:secret@v.example:8443/a/b?X-Signature=secret#x") == "https://v.example:8443/a/b"
