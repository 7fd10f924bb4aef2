"""Signatures by keys that were made for this run, and status lines of GnuPG."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import artifact_openpgp as openpgp
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import Artifact
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact_download import prove, sha256_of
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.tests.mirror import origins

DATA = b"what a vendor ships\n"
LONG_AGO, A_DAY_LATER = "20200101T000000", "20200102T000000"


@pytest.fixture(scope="module")
def keys() -> Iterator[origins.Keys]:
    with origins.keys() as made:
        yield made


@pytest.fixture(scope="module")
def vendor(keys: origins.Keys) -> str:
    return keys.make("vendor")


@pytest.fixture(scope="module")
def stranger(keys: origins.Keys) -> str:
    return keys.make("stranger")


@pytest.fixture(scope="module")
def aged(keys: origins.Keys) -> str:
    """A key from long ago that never expires."""
    return keys.make("aged", at=LONG_AGO)


@pytest.fixture(scope="module")
def expired(keys: origins.Keys) -> str:
    return keys.make("expired", lasts="2d", at=LONG_AGO)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


@pytest.fixture(params=["gpgv", "gpg"])
def verifier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The one program for signatures that is on the PATH."""
    found = shutil.which(request.param)
    monkeypatch.setattr(shutil, "which", lambda name: found if name == request.param else None)
    return str(request.param)


def verify(keys: origins.Keys, file: Path, signature: bytes, signer: str, public: bytes | None = None) -> None:
    public = keys.public(signer) if public is None else public
    key = openpgp.pinned_key(public, signer, "https://v.example/key")
    openpgp.verify_detached(str(file), signature, key, signer, "https://v.example/file")


def test_a_signature_of_the_pinned_key_holds(keys: origins.Keys, vendor: str, file: Path, verifier: str) -> None:
    verify(keys, file, keys.sign(vendor, DATA), vendor)


def test_a_file_with_one_flipped_byte_is_refused(keys: origins.Keys, vendor: str, file: Path, verifier: str) -> None:
    signature = keys.sign(vendor, DATA)
    file.write_bytes(bytes([DATA[0] ^ 1]) + DATA[1:])
    with pytest.raises(
        TrainingError, match=r"^https://v\.example/file: its signature does not fit: .*; fix: do not use"
    ):
        verify(keys, file, signature, vendor)


def test_a_signature_with_one_flipped_byte_is_refused(
    keys: origins.Keys, vendor: str, file: Path, verifier: str
) -> None:
    signature = bytearray(keys.sign(vendor, DATA))
    signature[-1] ^= 1
    with pytest.raises(TrainingError, match=r"^https://v\.example/file: .*; fix: do not use"):
        verify(keys, file, bytes(signature), vendor)


def test_a_signature_of_another_key_is_refused(
    keys: origins.Keys, vendor: str, stranger: str, file: Path, verifier: str
) -> None:
    with pytest.raises(TrainingError, match=f"it is signed by {stranger[-16:]}, and not by the pinned signer {vendor}"):
        verify(keys, file, keys.sign(stranger, DATA), vendor)


def test_a_key_that_comes_along_in_the_key_file_does_not_count(
    keys: origins.Keys, vendor: str, stranger: str, file: Path, verifier: str
) -> None:
    both = keys.public(vendor, stranger, armour=False)
    assert set(openpgp.public_keys(both)) == {vendor, stranger}
    with pytest.raises(TrainingError, match="not by the pinned signer"):
        verify(keys, file, keys.sign(stranger, DATA), vendor, public=both)


def test_an_expired_signature_is_refused(keys: origins.Keys, aged: str, file: Path, verifier: str) -> None:
    signature = keys.sign(aged, DATA, at=A_DAY_LATER, lasts="1d")
    with pytest.raises(TrainingError, match="its signature has expired"):
        verify(keys, file, signature, aged)


def test_an_expired_key_is_refused_by_its_own_word(keys: origins.Keys, expired: str) -> None:
    with pytest.raises(TrainingError, match=f"^https://v.example/key: key {expired} has expired on 2020-01-03; fix: "):
        openpgp.pinned_key(keys.public(expired), expired, "https://v.example/key")


def test_a_signature_from_before_its_key_expired_is_refused_too(
    keys: origins.Keys, expired: str, file: Path, verifier: str
) -> None:
    signature = keys.sign(expired, DATA, at=A_DAY_LATER)
    key = openpgp.public_keys(keys.public(expired))[expired]
    with pytest.raises(TrainingError, match=f"the key of its signature, {expired}, has expired"):
        openpgp.verify_detached(str(file), signature, key, expired, "https://v.example/file")


def test_a_key_that_lives_on_after_a_new_self_signature_is_taken(keys: origins.Keys) -> None:
    signer = keys.make("renewed", lasts="2d", at=LONG_AGO)
    before = keys.public(signer)
    keys.gpg("--quick-set-expire", signer, "0", at=A_DAY_LATER)
    assert openpgp.key_expiry(openpgp.public_keys(before)[signer]) == 1577836800 + 2 * 86400
    assert openpgp.key_expiry(openpgp.pinned_key(keys.public(signer), signer, "key")) == 0


def test_a_file_without_the_pinned_key_is_refused(keys: origins.Keys, vendor: str, stranger: str) -> None:
    with pytest.raises(TrainingError, match=f"holds key {stranger}, and {vendor} is the pinned signer"):
        openpgp.pinned_key(keys.public(stranger), vendor, "https://v.example/key")
    for page in (b"<html>Not here</html>", b"", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!\n"):
        with pytest.raises(TrainingError, match="holds no OpenPGP public key"):
            openpgp.pinned_key(page, vendor, "https://v.example/key")


def test_fingerprints_are_those_that_gnupg_shows(keys: origins.Keys, vendor: str, aged: str) -> None:
    for armour in (True, False):
        assert set(openpgp.public_keys(keys.public(vendor, aged, armour=armour))) == {vendor, aged}


def test_only_the_signed_text_of_a_message_is_read(keys: origins.Keys, vendor: str, verifier: str) -> None:
    key = openpgp.pinned_key(keys.public(vendor), vendor, "key")
    message = b"Suite: forged\n" + keys.clear_sign(vendor, b"Suite: signed\n") + b"Suite: forged\n"
    assert openpgp.opened(message, key, vendor, "InRelease") == b"Suite: signed\n"


def test_a_message_that_was_changed_is_refused(keys: origins.Keys, vendor: str, verifier: str) -> None:
    key = openpgp.pinned_key(keys.public(vendor), vendor, "key")
    message = keys.clear_sign(vendor, b"Suite: signed\n").replace(b"Suite: signed", b"Suite: forged")
    with pytest.raises(TrainingError, match="InRelease: its signature does not fit"):
        openpgp.opened(message, key, vendor, "InRelease")
    with pytest.raises(TrainingError, match=f"InRelease: it has no signature of the pinned signer {vendor}"):
        openpgp.opened(b"Suite: unsigned\n", key, vendor, "InRelease")


def test_an_artifact_that_is_held_to_its_signer_is_proved_by_the_signature(
    keys: origins.Keys, vendor: str, file: Path
) -> None:
    signature, key = keys.sign(vendor, DATA), openpgp.pinned_key(keys.public(vendor), vendor, "key")
    signed = Artifact(
        "https://v.example/file", signer=vendor, signature="https://v.example/s", key="https://v.example/k"
    )
    assert prove(signed, str(file), sha256_of(str(file)), signature, key).verified == "signature"
    file.write_bytes(DATA + b" ")
    with pytest.raises(TrainingError, match="its signature does not fit"):
        prove(signed, str(file), sha256_of(str(file)), signature, key)


def test_the_users_own_keyring_does_not_count(
    keys: origins.Keys, vendor: str, stranger: str, file: Path, verifier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(keys.home))
    with pytest.raises(TrainingError, match="not by the pinned signer"):
        verify(keys, file, keys.sign(stranger, DATA), vendor)


def status(*lines: str) -> str:
    return "".join(f"[GNUPG:] {line}\n" for line in lines)


VALID = "VALIDSIG {0} 2026-01-01 1 0 4 0 22 {1} 00 {0}"
A, B = "A" * 40, "B" * 40


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((f"GOODSIG {A[-16:]} v", VALID.format(A, 10)), ""),
        ((f"ERRSIG {B[-16:]} 1 8 00 1 9 -", f"GOODSIG {A[-16:]} v", VALID.format(A, 10)), ""),
        ((f"GOODSIG {A[-16:]} v", VALID.format(A, 2)), "its signature is made with SHA-1, which can be forged"),
        ((f"GOODSIG {B[-16:]} v", VALID.format(B, 10)), f"it has no signature of the pinned signer {A}"),
        ((f"GOODSIG {A[-16:]} v", VALID.format(A, 10), f"BADSIG {A[-16:]} v"), "its signature does not fit"),
        ((f"REVKEYSIG {A[-16:]} v", VALID.format(A, 10)), f"the key of its signature, {A}, is revoked"),
        ((VALID.format(A, 10),), f"it has no signature of the pinned signer {A}"),
        ((), f"it has no signature of the pinned signer {A}"),
    ],
)
def test_status_lines_prove_a_signature_or_do_not(lines: tuple[str, ...], reason: str) -> None:
    assert openpgp.refusal(status(*lines), A).startswith(reason)
    assert bool(openpgp.refusal(status(*lines), A)) == bool(reason)


def test_a_node_without_a_verifier_is_told_what_to_install(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(TrainingError, match=r"no program that verifies OpenPGP signatures .*; fix: install gpgv"):
        openpgp.verify_detached(str(file), b"x", b"x", A, "file")


@pytest.mark.parametrize(
    ("answer", "said", "reason"),
    [
        (0, f"{A}\n", ""),
        (0, f"{B}\n", "it has no good signature"),
        (1, "", "it has no good signature"),
    ],
)
def test_sqv_is_believed_where_it_names_the_signer(
    answer: int, said: str, reason: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/sqv" if name == "sqv" else None)

    def run(words: list[str], **how: object) -> subprocess.CompletedProcess[bytes]:
        assert words[0] == "/usr/bin/sqv"
        return subprocess.CompletedProcess(words, answer, said.encode(), b"Verifying signature:\n  Something else\n")

    monkeypatch.setattr(subprocess, "run", run)
    if not reason:
        openpgp.verify_detached(str(file), b"s", b"k", A, "file")
        return
    with pytest.raises(TrainingError, match=reason):
        openpgp.verify_detached(str(file), b"s", b"k", A, "file")


@pytest.mark.parametrize(
    ("complaint", "reason"),
    [
        # what sqv 1.3.0 of Debian 13 printed, 2026-11-25
        ("Verifying signature:\n           Message has been manipulated\n", "its signature does not fit"),
        ("Verifying signature:\n           Expired on 2020-06-02T00:00:00Z\n", "has expired"),
        (
            "Missing key C3D32A16CC0901F218D0FF039B7F5E199FD05FCA, which is needed to verify signature.\n",
            "not signed by",
        ),
    ],
)
def test_what_sqv_prints_becomes_a_reason(complaint: str, reason: str) -> None:
    assert reason in openpgp._sqv_refusal(1, "", complaint, A)
