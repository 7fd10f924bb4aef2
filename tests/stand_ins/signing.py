"""Keys that are made for one run: their private halves never leave a folder that goes with the run."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ansible_collections.awsome.distributed_training.tests.stand_ins.tools import call


@dataclass(frozen=True)
class Key:
    """A key pair of a keyring."""

    home: Path
    fingerprint: str

    def public(self) -> bytes:
        """Its public half, in ASCII armour as vendors serve theirs."""
        return self._gpg("--armor", "--export", self.fingerprint)

    def detached(self, data: bytes, armour: bool = True) -> bytes:
        """A signature of its own."""
        return self._gpg(*(("--armor",) if armour else ()), "--detach-sign", given=data)

    def clearsign(self, data: bytes) -> bytes:
        """Text with its signature around it."""
        return self._gpg("--clearsign", given=data)

    def _gpg(self, *words: str, given: bytes = b"") -> bytes:
        options = ("--batch", "--quiet", "--homedir", self.home, "--digest-algo", "SHA512")
        return call(["gpg", *options, "--local-user", self.fingerprint, *words], given)


class Keyring:
    """Keys by who they stand for, each made when it is first asked for; a context, at whose end all are gone."""

    def __init__(self) -> None:
        self._keys: dict[str, Key] = {}

    def __enter__(self) -> Keyring:
        # not under the caller's folder: the path of gpg-agent's socket has at most 107 letters
        self.home = Path(tempfile.mkdtemp(prefix="adt-keys-"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        call(["gpgconf", "--homedir", self.home, "--kill", "all"])
        shutil.rmtree(self.home, ignore_errors=True)  # the agent removes its sockets at the same time

    def key(self, who: str) -> Key:
        """The key that stands for a signer, named by fingerprint, address or host.

        RSA with 3072 bits: every apt, rpm and gpg of a supported system reads it.
        """
        if who not in self._keys:
            options = ("--batch", "--quiet", "--homedir", self.home, "--passphrase", "", "--status-fd", "1")
            name = f"stand-in for {who} <nobody@example.invalid>"
            said = call(["gpg", *options, "--quick-generate-key", name, "rsa3072", "sign", "never"]).decode()
            created = next(line for line in said.splitlines() if " KEY_CREATED " in line)
            self._keys[who] = Key(self.home, created.split()[-1])
        return self._keys[who]
