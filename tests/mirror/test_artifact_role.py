"""Role artifact on a node: what it takes the place of, what it leaves, and what it says in check mode."""

from __future__ import annotations

import hashlib
from typing import Any

from ansible_collections.awsome.distributed_training.tests.mirror import containers
from ansible_collections.awsome.distributed_training.tests.mirror.origins import Keys, origin

DATA = b"what a vendor ships\n"
FILE = "/usr/local/bin/tool"


def apply(file: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    given = {"artifact_file": file, "artifact_dest": FILE, "artifact_component": "tool", "artifact_version": "1.2"}
    return [containers.include("artifact", **given, **more)]


def test_a_signed_file_takes_the_place_of_another_and_then_stays(
    ansible: containers.Ansible, bookworm: str, keys: Keys, vendor: str
) -> None:
    stated = {"verified_from": "calculated: made by a test"}
    with origin() as served, containers.node(bookworm, "--network=host") as node:
        served.files.update({"tool": DATA, "tool.sig": keys.sign(vendor, DATA), "tool.key": keys.public(vendor)})
        signed = {
            "url": served.url("tool"),
            "signer": vendor,
            **stated,
            "signature": {"url": served.url("tool.sig"), "unverified": "held to its signer"},
            "key": {"url": served.url("tool.key"), "signer": vendor, **stated},
        }
        node.run("sh", "-c", f"echo something else >{FILE}")

        would = ansible.play([node], apply(signed, artifact_mode="0755"), "--check")
        assert would.returncode == 0, would.stdout
        assert f"would fetch {served.url('tool')}" in would.stdout
        assert node.run("cat", FILE) == "something else\n"
        assert "GET tool" not in served.asked

        first = ansible.play([node], apply(signed, artifact_mode="0755"))
        assert first.returncode == 0, first.stdout
        assert node.run("cat", FILE).encode() == DATA
        assert node.mode(FILE) == "755 root"
        assert node.run("ls", "-A", "/usr/local/bin") == "tool\n"
        (entry,) = node.manifest()["entries"]
        assert (entry["verified"], entry["signer"], entry["origin"]) == ("signature", vendor, served.url("tool"))
        assert entry["sha256"] == hashlib.sha256(DATA).hexdigest()
        assert "overridden" not in entry

        served.asked.clear()
        again = ansible.play([node], apply(signed, artifact_mode="0755"))
        assert containers.recap(again)["changed"] == 0
        assert served.asked == ["GET tool.key", "GET tool.sig"]
        assert node.manifest()["entries"] == [entry]

        held = {"url": served.url("tool"), "sha256": hashlib.sha256(DATA).hexdigest(), **stated}
        served.asked.clear()
        other_mode = ansible.play([node], apply(held, artifact_mode="0700", artifact_owner="nobody"))
        assert other_mode.returncode == 0, other_mode.stdout
        assert node.mode(FILE) == "700 nobody"
        assert served.asked == []
