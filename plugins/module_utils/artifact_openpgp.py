# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""OpenPGP signatures held to one pinned key: the key is found by its full fingerprint, a keyring has it alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

_SIGNATURE, _SECRET_KEY, _PUBLIC_KEY, _SUBKEY = 2, 5, 6, 14
"""Tags of packets (RFC 9580, section 5)."""

_SELF_SIGNATURES = (0x10, 0x11, 0x12, 0x13, 0x1F)
_CREATED, _LASTS, _ISSUER, _ISSUER_FINGERPRINT = 2, 9, 16, 33
"""Types of signatures by which a key says something of itself, and of what they say (RFC 9580, section 5.2)."""

_ARMOR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t]*\r?\n(?:[^\r\n]+\r?\n)*?[ \t]*\r?\n"
    rb"(.*?)(?:\r?\n=[A-Za-z0-9+/]{4})?\s*-----END PGP PUBLIC KEY BLOCK-----",
    re.DOTALL,
)
_WEAK_HASHES = {"1": "MD5", "2": "SHA-1", "3": "RIPEMD-160"}
"""Hash algorithms of RFC 9580, section 9.5, that no signature may be made with."""

_OUTCOMES = {
    "BADSIG": "its signature does not fit: the file or the signature was changed",
    "EXPSIG": "its signature has expired",
    "EXPKEYSIG": "the key of its signature, {signer}, has expired",
    "REVKEYSIG": "the key of its signature, {signer}, is revoked",
}
"""What a status line of gpg and gpgv says (GnuPG, doc/DETAILS), from the worst."""

_FIX = "do not use the file; if its signer changed, find out why, and state the new signer in stack_overrides"


def binary(data: bytes) -> bytes:
    """Public keys without their armour; several armoured blocks become one row of packets."""
    if b"-----BEGIN PGP" not in data:
        return data
    try:
        return b"".join(base64.b64decode(b"".join(block.split()), validate=True) for block in _ARMOR.findall(data))
    except binascii.Error:
        return b""


def public_keys(data: bytes) -> dict[str, bytes]:
    """Fingerprint and packets (with subkeys, names and signatures) of each public key of version 4 in a file."""
    found: dict[str, bytes] = {}
    fingerprint = ""
    for tag, body, packet in _packets(binary(data)):
        if tag in (_PUBLIC_KEY, _SECRET_KEY):
            fingerprint = ""
            if tag == _PUBLIC_KEY and body[:1] == b"\x04":
                framed = b"\x99" + len(body).to_bytes(2, "big") + body
                fingerprint = hashlib.sha1(framed, usedforsecurity=False).hexdigest().upper()
        if fingerprint:
            found[fingerprint] = found.get(fingerprint, b"") + packet
    return found


def _packets(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Tag, body and whole of each packet; ends at what is none."""
    at = 0
    while at + 2 <= len(data) and data[at] & 0x80:
        first, start = data[at], at
        if first & 0x40:
            tag, length, at = first & 0x3F, data[at + 1], at + 2
            if 192 <= length < 224:
                length, at = ((length - 192) << 8) + int.from_bytes(data[at : at + 1], "big") + 192, at + 1
            elif length == 255:
                length, at = int.from_bytes(data[at : at + 4], "big"), at + 4
            elif length >= 224:
                return  # a body of unknown length, which no key has
        else:
            tag, size = (first >> 2) & 0x0F, first & 3
            if size == 3:
                return
            length, at = int.from_bytes(data[at + 1 : at + 1 + (1 << size)], "big"), at + 1 + (1 << size)
        if at + length > len(data):
            return
        yield tag, data[at : at + length], data[start : at + length]
        at += length


def pinned_key(data: bytes, signer: str, where: str) -> bytes:
    """The packets of the key with that fingerprint, and of no other; refused where it has expired."""
    keys = public_keys(data)
    if signer not in keys:
        raise TrainingError(f"{where} holds {_listed(keys)}, and {signer} is the pinned signer", _FIX)
    expires = key_expiry(keys[signer])
    if expires and expires <= time.time():
        when = time.strftime("%Y-%m-%d", time.gmtime(expires))
        raise TrainingError(f"{where}: key {signer} has expired on {when}", _FIX)
    return keys[signer]


def key_expiry(key: bytes) -> int:
    """Seconds since 1970 at which a public key expires, as its newest self-signature says; 0 for one that does not.

    Read here because sqv takes a signature that an expired key made in its time, and gpgv leaves with status 0 for it.
    The verifier sees whether the self-signature is genuine.
    """
    made, newest, expires, own = 0, -1, 0, b""
    for tag, body, _ in _packets(key):
        if tag == _PUBLIC_KEY:
            made = int.from_bytes(body[1:5], "big")
            framed = b"\x99" + len(body).to_bytes(2, "big") + body
            own = hashlib.sha1(framed, usedforsecurity=False).digest()
        elif tag == _SUBKEY:
            break
        elif tag == _SIGNATURE and body[:1] == b"\x04" and body[1] in _SELF_SIGNATURES:
            hashed_end = 6 + int.from_bytes(body[4:6], "big")
            unhashed_end = hashed_end + 2 + int.from_bytes(body[hashed_end : hashed_end + 2], "big")
            hashed = dict(_subpackets(body[6:hashed_end]))
            issuers = {**dict(_subpackets(body[hashed_end + 2 : unhashed_end])), **hashed}
            if issuers.get(_ISSUER_FINGERPRINT, b"\x04" + own)[1:] != own or issuers.get(_ISSUER, own[-8:]) != own[-8:]:
                continue
            created = int.from_bytes(hashed.get(_CREATED, b""), "big")
            if created > newest:
                lasts = int.from_bytes(hashed.get(_LASTS, b""), "big")
                newest, expires = created, made + lasts if lasts else 0
    return expires


def _subpackets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each subpacket of a signature (RFC 9580, section 5.2.3.7)."""
    at = 0
    while at < len(data):
        length, at = data[at], at + 1
        if 192 <= length < 255:
            length, at = ((length - 192) << 8) + int.from_bytes(data[at : at + 1], "big") + 192, at + 1
        elif length == 255:
            length, at = int.from_bytes(data[at : at + 4], "big"), at + 4
        if length == 0 or at + length > len(data):
            return
        yield data[at] & 0x7F, data[at + 1 : at + length]
        at += length


def _listed(keys: Sequence[str] | dict[str, bytes]) -> str:
    return f"key {', '.join(sorted(keys))}" if keys else "no OpenPGP public key"


def refusal(status: str, signer: str) -> str:
    """Why the status lines of gpg or gpgv do not prove a signature of that key; empty where they do.

    A keyring with more than that key would prove nothing: the caller's has it alone.
    """
    lines = [line.split()[1:] for line in status.splitlines() if line.startswith("[GNUPG:] ")]
    words = {line[0]: line for line in reversed(lines) if line}
    for word, text in _OUTCOMES.items():
        if word in words:
            return text.format(signer=signer)
    valid = [line for line in lines if line[0] == "VALIDSIG" and line[-1] == signer]
    if "GOODSIG" in words and valid:
        weak = [_WEAK_HASHES[line[8]] for line in valid if line[8] in _WEAK_HASHES]
        return f"its signature is made with {weak[0]}, which can be forged" if len(weak) == len(valid) else ""
    if "ERRSIG" in words:
        return f"it is signed by {words['ERRSIG'][1]}, and not by the pinned signer {signer}"
    return f"it has no signature of the pinned signer {signer}"


def verify_detached(path: str, signature: bytes, key: bytes, signer: str, what: str) -> None:
    """A file against its detached signature.

    :param key: packets of the pinned key alone, as pinned_key gives them.
    :param what: the file, as a refusal names it.
    """
    _verify(path, signature, key, signer, what)


def opened(message: bytes, key: bytes, signer: str, what: str) -> bytes:
    """The signed text of a message with a cleartext signature: what stands around it was signed by nobody."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "message")
        _write(path, message)
        return _verify(path, None, key, signer, what)


def _verify(path: str, signature: bytes | None, key: bytes, signer: str, what: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        keyring, signed_by, text = (os.path.join(folder, name) for name in ("key.gpg", "signature", "text"))
        _write(keyring, key)
        if signature is not None:
            _write(signed_by, signature)
        program, words = _command(folder, keyring, text, path, signed_by if signature is not None else "")
        ran = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"}
        )
        said, complaint = ran.stdout.decode(errors="replace"), ran.stderr.decode(errors="replace")
        reason = _sqv_refusal(ran.returncode, said, complaint, signer) if program == "sqv" else refusal(said, signer)
        if reason:
            raise TrainingError(f"{what}: {reason}", _FIX)
        if signature is not None:
            return b""
        with open(text, "rb") as file:
            return file.read()


def _command(folder: str, keyring: str, text: str, path: str, signature: str) -> tuple[str, list[str]]:
    """The verifier that this machine has, and its words."""
    for program in ("gpgv", "gpg", "sqv"):
        found = shutil.which(program)
        if not found:
            continue
        if program == "sqv":  # what Debian 13 has in place of gpgv
            how = ["--signature-file", signature, path] if signature else ["--output", text, "--cleartext", path]
            return program, [found, "--keyring", keyring, *how]
        words = [found, "--homedir", folder, "--keyring", keyring, "--status-fd", "1"]
        if program == "gpg":
            words += ["--batch", "--no-default-keyring", "--trust-model", "always", "--no-auto-key-locate"]
        if signature:
            return program, [*words, *(["--verify"] if program == "gpg" else []), signature, path]
        return program, [*words, "--output", text, *(["--decrypt"] if program == "gpg" else []), path]
    raise TrainingError("no program that verifies OpenPGP signatures is on the PATH", "install gpgv (or gnupg2, sqv)")


def _sqv_refusal(status: int, said: str, complaint: str, signer: str) -> str:
    """sqv leaves with 0 and prints the certificate's fingerprint where a signature is good; it has no status lines."""
    if status == 0 and said.split() == [signer]:
        return ""
    reason = complaint.lower()
    if "manipulated" in reason or "bad signature" in reason:
        return _OUTCOMES["BADSIG"]
    if "missing key" in reason or "no key" in reason:
        return f"it is not signed by the pinned signer {signer}"
    if "revoked" in reason:
        return _OUTCOMES["REVKEYSIG"].format(signer=signer)
    if "expired" in reason or "not alive" in reason or "not live" in reason:
        return "its signature, or the key of it, has expired"
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    return f"it has no good signature of the pinned signer {signer} ({lines[-1] if lines else 'sqv said nothing'})"


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
