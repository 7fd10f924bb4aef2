"""What roles artifact and repository refuse on a node: what they say, and that the node is as it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml
from ansible_collections.awsome.distributed_training.tests.mirror import containers, repositories
from ansible_collections.awsome.distributed_training.tests.mirror.origins import Keys, Origin, origin

DATA = os.urandom(200_000)
OLD = "what was there before"
A_DAY_LATER = "20200102T000000"
STATED = {"sha256": hashlib.sha256(DATA).hexdigest(), "verified_from": "calculated: made by a test"}


class Asked(NamedTuple):
    """A role, its arguments, and the beginning of what it says."""

    role: str
    arguments: dict[str, Any]
    says: str


class Answer(NamedTuple):
    """What the role said, and the files of the node before the first and after this case."""

    said: str
    before: list[str]
    after: list[str]


@pytest.fixture(scope="module")
def server() -> Iterator[Origin]:
    with origin() as served:
        yield served


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Origin]:
    with origin("127.0.0.2") as served:
        served.files["file"] = DATA
        yield served


def signed(server: Origin, keys: Keys, path: str, signature: bytes, key: bytes, signer: str) -> dict[str, Any]:
    """A file that is held to a signer, served with its signature and its key."""
    server.files.update({path: DATA, f"{path}.sig": signature, f"{path}.key": key})
    return {
        "url": server.url(path),
        "signer": signer,
        "verified_from": "calculated: made by a test",
        "signature": {"url": server.url(f"{path}.sig"), "unverified": "held to its signer"},
        "key": {"url": server.url(f"{path}.key"), "signer": signer, "verified_from": "calculated: made by a test"},
    }


def files(server: Origin, elsewhere: Origin, keys: Keys, vendor: str, stranger: str, expired: str) -> dict[str, Asked]:
    """Downloads that are refused."""
    server.files.update({"good": DATA, "flipped": repositories.flipped(DATA, 100_000), "cut": DATA})
    server.cuts["cut"] = 1000
    server.ranges = False
    server.redirects["moved"] = elsewhere.url("file")
    signature, public = keys.sign(vendor, DATA), keys.public(vendor)
    late = keys.sign(vendor, DATA, at=A_DAY_LATER, lasts="1d")
    by_expired = keys.sign(expired, DATA, at=A_DAY_LATER)
    missing_signature = signed(server, keys, "unsigned", signature, public, vendor)
    del server.files["unsigned.sig"]
    both = keys.public(vendor, stranger)
    changed = repositories.flipped(signature, len(signature) - 1)
    asked: dict[str, tuple[dict[str, Any], str]] = {
        "one flipped byte": ({"url": server.url("flipped"), **STATED}, f"{server.url('flipped')} has sha256 "),
        "a flipped byte of a signed file": (
            signed(server, keys, "signed-flipped", signature, public, vendor),
            f"{server.url('signed-flipped')}: its signature does not fit",
        ),
        "a flipped byte of the signature": (
            signed(server, keys, "sig-flipped", changed, public, vendor),
            f"{server.url('sig-flipped')}: it",
        ),
        "wrong signer": (
            signed(server, keys, "by-stranger", keys.sign(stranger, DATA), public, vendor),
            f"{server.url('by-stranger')}: it is ",
        ),
        "wrong signer whose key comes along": (
            signed(server, keys, "both", keys.sign(stranger, DATA), both, vendor),
            f"{server.url('both')}: it is ",
        ),
        "another key under the key's address": (
            signed(server, keys, "other-key", signature, keys.public(stranger), vendor),
            f"{server.url('other-key.key')} holds key {stranger}, and {vendor} is the pinned signer",
        ),
        "expired signature": (
            signed(server, keys, "late", late, public, vendor),
            f"{server.url('late')}: its signature",
        ),
        "expired key": (
            signed(server, keys, "old-key", by_expired, keys.public(expired), expired),
            f"{server.url('old-key.key')}: key {expired} has expired on 2020-01-03",
        ),
        "missing signature": (missing_signature, f"{server.url('unsigned.sig')}: 404 Not Found"),
        "missing file": ({"url": server.url("nowhere"), **STATED}, f"{server.url('nowhere')}: 404 Not Found"),
        "truncated download": (
            {"url": server.url("cut"), **STATED},
            f"{server.url('cut')} is cut short: 1000 of 200000 bytes came",
        ),
        "redirect to another host": (
            {"url": server.url("moved"), **STATED},
            f"{server.url('moved')} redirects to another host, {elsewhere.address[7:]}",
        ),
        "unverified": (
            {"url": server.url("good"), "unverified": "no digest was found"},
            f"{server.url('good')} is unverified (no digest was found); fix: state its sha256",
        ),
    }
    server.files["signed-flipped"] = repositories.flipped(DATA, 0)
    result = {
        name: Asked("artifact", {"artifact_file": artifact, "artifact_dest": "/srv/node/file"}, says)
        for name, (artifact, says) in asked.items()
    }
    full = {"artifact_file": {"url": server.url("good"), **STATED}, "artifact_dest": "/small/file"}
    result["full disk"] = Asked("artifact", full, "the disk of /small is full: ")
    no_folder = {**full, "artifact_dest": "/srv/nowhere/file"}
    result["no folder"] = Asked("artifact", no_folder, "/srv/nowhere, the folder of file, is not there; fix: make it")
    mirror = {**full, "artifact_dest": "/srv/node/file", "artifact_mirror": "/srv/mirror"}
    result["not in the mirror"] = Asked("artifact", mirror, "file:///srv/mirror/127.0.0.1_")
    return result


def indexes(
    server: Origin, elsewhere: Origin, keys: Keys, vendor: str, stranger: str, expired: str
) -> dict[str, Asked]:
    """Repositories that are refused."""

    def broken(place: str, name: str, data: bytes | None) -> dict[str, Any]:
        stated = repositories.serve(server, keys, place, vendor)
        if data is None:
            del server.files[f"{place}/{name}"]
        else:
            server.files[f"{place}/{name}"] = data
        return stated

    index, _ = repositories.packages_index()
    message = keys.clear_sign(vendor, repositories.release(index))
    at = message.index(b"Packages")
    moved = broken("repo-moved", "InRelease", None)
    server.redirects["repo-moved/InRelease"] = elsewhere.url("file")
    unknown = repositories.serve(server, keys, "repo-unknown", vendor)
    for part in ("base", "key"):
        unknown[part] = {"url": unknown[part]["url"], "unverified": "its full fingerprint is not known"}
    where = f"{server.address}/repo"
    asked: dict[str, tuple[dict[str, Any], str]] = {
        "one flipped byte of Packages": (
            broken("repo-packages", "Packages", repositories.flipped(index, 9)),
            f"{where}-packages/Packages has sha256 ",
        ),
        "one flipped byte of InRelease": (
            broken("repo-release", "InRelease", repositories.flipped(message, at)),
            f"{where}-release/InRelease: its signature does not fit",
        ),
        "index of a wrong signer": (
            repositories.serve(server, keys, "repo-stranger", stranger, key=vendor),
            f"{where}-stranger/InRelease: it is ",
        ),
        "index with an expired signature": (
            repositories.serve(server, keys, "repo-late", vendor, at=A_DAY_LATER, lasts="1d"),
            f"{where}-late/InRelease: its signature",
        ),
        "index with an expired key": (
            repositories.serve(server, keys, "repo-expired", expired, at=A_DAY_LATER),
            f"{where}-expired/key.asc: key {expired} has expired on 2020-01-03",
        ),
        "index that is out of date": (
            repositories.serve(server, keys, "repo-stale", vendor, "Valid-Until: Thu, 02 Jan 2020 00:00:00 UTC\n"),
            f"{where}-stale/InRelease was valid until Thu, 02 Jan 2020 00:00:00 UTC",
        ),
        "no index": ({**repositories.entry(server, "repo-none", vendor)}, f"{where}-none/key.asc: 404 Not Found"),
        "unsigned index": (broken("repo-unsigned", "InRelease", None), f"{where}-unsigned/Release is not signed"),
        "index on another host": (moved, f"{where}-moved/InRelease redirects to another host"),
        "another key": (
            broken("repo-key", "key.asc", keys.public(stranger)),
            f"{where}-key/key.asc holds key {stranger}, and {vendor} is the pinned signer",
        ),
        "unknown signer": (unknown, f"repository {where}-unknown is unverified (its full fingerprint is not known)"),
        "version that is not there": (
            {**repositories.serve(server, keys, "repo-other", vendor), "packages": {repositories.NAME: "9.9"}},
            f"{repositories.NAME} 9.9 is not in repository {where}-other: it has {repositories.VERSION}; fix: ",
        ),
        "index that apt does not take": (
            {**broken("repo-apt", "Packages", repositories.flipped(index, 9)), "packages": {}},
            f"apt-get does not read repository adt-127-0-0-1-repo-apt: E: Failed to fetch {where}-apt/Packages",
        ),
    }
    result = {name: Asked("repository", of(stated), says) for name, (stated, says) in asked.items()}
    good = repositories.serve(server, keys, "repo-good", vendor)
    mirror = {**of(good), "repository_mirror": "/srv/mirror"}
    result["mirror without a signer"] = Asked("repository", mirror, "a mirror is given, and not whom it is signed by")
    return result


def of(entry: dict[str, Any]) -> dict[str, Any]:
    """Arguments of role repository for one component."""
    return {"repository_components": [{"name": "tool", "version": "1.2", "repositories": [entry]}]}


TELLS = {"artifact_component": "tool", "artifact_version": "1.2"}


ANSWERS = "/tmp/answers.yml"


def tasks(asked: dict[str, Asked]) -> list[dict[str, Any]]:
    """Apply each, keep what it said, and look at the destinations and at apt's own files after it."""
    look: dict[str, Any] = {
        "name": "Look",
        "ansible.builtin.command": "find /srv /small /etc/apt -type f -exec sha256sum {} +",
        "changed_when": False,
        "register": "look",
    }
    steps: list[dict[str, Any]] = [
        look,
        {"name": "Start", "ansible.builtin.set_fact": {"answers": [], "first": "{{ look.stdout_lines }}"}},
    ]
    for name, (role, arguments, _) in asked.items():
        own = {key: value for key, value in TELLS.items() if key.startswith(role)}
        taken = {"name": "Taken", "ansible.builtin.set_fact": {"said": "(it was taken)"}}
        keep = {"name": "Keep", "ansible.builtin.set_fact": {"said": "{{ ansible_failed_result.msg }}"}}
        note = "{{ answers + [{'name': case, 'said': said, 'before': first, 'after': look.stdout_lines}] }}"
        steps += [
            {"name": name, "block": [containers.include(role, **own, **arguments), taken], "rescue": [keep]},
            look,
            {"name": "Note", "ansible.builtin.set_fact": {"answers": note}, "vars": {"case": name}},
        ]
    write = {"content": "{{ answers | to_nice_yaml(width=10000) }}", "dest": ANSWERS, "mode": "0600"}
    return [*steps, {"name": "Write", "ansible.builtin.copy": write}]


@pytest.fixture(scope="module")
def answers(
    ansible: containers.Ansible,
    bookworm: str,
    trixie: str,
    server: Origin,
    elsewhere: Origin,
    keys: Keys,
    vendor: str,
    stranger: str,
    expired: str,
) -> dict[str, dict[str, tuple[Asked, Answer]]]:
    """Every case on a node of each Debian, in one play: one verifies by gpgv, the other by sqv."""
    asked = files(server, elsewhere, keys, vendor, stranger, expired)
    asked.update(indexes(server, elsewhere, keys, vendor, stranger, expired))
    options = ("--network=host", "--tmpfs=/small:size=64k")
    with containers.node(bookworm, *options) as twelve, containers.node(trixie, *options) as thirteen:
        nodes = {"bookworm": twelve, "trixie": thirteen}
        for node in nodes.values():
            node.run("mkdir", "-p", "/srv/node", "/srv/mirror")
            node.run("sh", "-c", f"printf '%s' '{OLD}' >/srv/node/file")
        before = {suite: node.changed_files() for suite, node in nodes.items()}
        ran = ansible.play(list(nodes.values()), tasks(asked))
        assert ran.returncode == 0, ran.stdout
        assert "Traceback" not in ran.stdout
        said = {}
        for suite, node in nodes.items():
            assert node.changed_files() - before[suite] == set()
            assert node.run("cat", "/srv/node/file") == OLD
            noted = yaml.safe_load(node.run("cat", ANSWERS))
            said[suite] = {one.pop("name"): Answer(**one) for one in noted}
    assert elsewhere.asked == []
    return {suite: {name: (case, said[suite][name]) for name, case in asked.items()} for suite in said}


NAMES = (
    "one flipped byte",
    "a flipped byte of a signed file",
    "a flipped byte of the signature",
    "wrong signer",
    "wrong signer whose key comes along",
    "another key under the key's address",
    "expired signature",
    "expired key",
    "missing signature",
    "missing file",
    "truncated download",
    "redirect to another host",
    "unverified",
    "full disk",
    "no folder",
    "not in the mirror",
    "one flipped byte of Packages",
    "one flipped byte of InRelease",
    "index of a wrong signer",
    "index with an expired signature",
    "index with an expired key",
    "index that is out of date",
    "no index",
    "unsigned index",
    "index on another host",
    "another key",
    "unknown signer",
    "version that is not there",
    "index that apt does not take",
    "mirror without a signer",
)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_refused_in_one_line_and_nothing_changes(
    name: str, suite: str, answers: dict[str, dict[str, tuple[Asked, Answer]]]
) -> None:
    asked, answer = answers[suite][name]
    assert answer.said.startswith(asked.says)
    assert "; fix: " in answer.said
    assert "\n" not in answer.said
    assert answer.after == answer.before


def test_every_case_is_named_above(answers: dict[str, dict[str, tuple[Asked, Answer]]]) -> None:
    assert sorted(answers["bookworm"]) == sorted(NAMES)
