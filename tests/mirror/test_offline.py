"""Nodes with no route out that take all from a mirror: apt by gpgv and by sqv, and dnf."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.jsonschema_subset import validate
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.mirror import containers
from ansible_collections.awsome.distributed_training.tests.mirror.origins import Keys, origin
from ansible_collections.awsome.distributed_training.tests.mirror.repositories import flipped
from ansible_collections.awsome.distributed_training.tests.stand_ins import builder

COMPONENTS = ("efa", "nvidia_container_toolkit", "nvidia_fabricmanager")
TOOLKIT = "nvidia-container-toolkit"
INSTALLER = "/usr/local/src/aws-efa-installer.tar.gz"
MIRROR = "/srv/mirror"


class Stack:
    """A mirror of stand-ins for a system, whose origins are gone."""

    def __init__(self, folder: Path, system: str, keys: Keys, signer: str) -> None:
        self.system, self.signer, self.mirror = system, signer, folder / "mirror"
        with origin() as served:
            builder.build(
                folder / "served",
                controller.read_stack(),
                None,
                [system],
                ["x86_64"],
                COMPONENTS,
                base_url=served.address,
            )
            served.serve_folder(folder / "served")
            self.overrides = yaml.safe_load(served.files[builder.OVERRIDES])
            given = {"os": system, "components": COMPONENTS, "mirror_signer": signer, "stack_overrides": self.overrides}
            (folder / "variables.json").write_text(json.dumps(given))
            environment: dict[str, str | None] = {"GNUPGHOME": str(keys.home), "ANSIBLE_LOCALHOST_WARNING": "false"}
            ran = support.play(["-e", "@variables.json"], folder, environment, playbook=f"{support.COLLECTION}.mirror")
            assert ran.returncode == 0, ran.stdout
        self.variables = {
            "stack_overrides": self.overrides,
            "artifact_mirror": MIRROR,
            "artifact_mirror_signer": signer,
        }
        toolkit = self.overrides["components"]["nvidia_container_toolkit"]["versions"]["1.20.1"]["repositories"][0]
        del toolkit["packages"]["libnvidia-container1"]
        self.document = controller.read_stack(self.overrides)

    def component(self, name: str) -> dict[str, Any]:
        about = catalogue.component(self.document, name, None, self.system)
        return catalogue.on_platform(about, self.system, "x86_64")

    def mount(self) -> str:
        return f"--volume={self.mirror}:{MIRROR}:ro"

    def apply(self, **more: Any) -> list[dict[str, Any]]:
        """Bring the EFA installer, and install two components by their repositories."""
        efa = self.component("efa")
        steps = [
            containers.include(
                "artifact",
                artifact_file=efa["files"][0]["file"],
                artifact_dest=INSTALLER,
                artifact_component="efa",
                artifact_version=efa["version"],
            )
        ]
        for name in COMPONENTS[1:]:
            about = self.component(name)
            steps.append(
                containers.include(
                    "repository",
                    repository_components=[about],
                    repository_install=True,
                    **more,
                )
            )
        return steps


@pytest.fixture(scope="module")
def debian(make_workplace: Callable[[str], Path], keys: Keys, operator: str) -> Stack:
    return Stack(make_workplace("offline-debian"), "debian12", keys, operator)


@pytest.fixture(scope="module")
def amazon2023(make_workplace: Callable[[str], Path], keys: Keys, operator: str) -> Stack:
    return Stack(make_workplace("offline-amazon"), "amazon2023", keys, operator)


def manifest_of(node: containers.Node, stack: Stack) -> dict[str, dict[str, Any]]:
    """Entries by path or package, once the whole has the form of its schema."""
    document = node.manifest()
    schema = json.loads((support.ROOT / "schemas/manifest.schema.json").read_text())
    assert [str(problem) for problem in validate(document, schema, "manifest")] == []
    assert node.mode(containers.MANIFEST) == "644 root"
    entries = {one.get("path") or one["package"]: one for one in document["entries"]}
    for one in entries.values():
        assert one["overridden"] is True
        assert one["origin"].startswith("http://127.0.0.1:")
        assert one["source"].startswith(f"file://{MIRROR}/127.0.0.1_")
    return entries


def applied(
    ansible: containers.Ansible, node: containers.Node, stack: Stack, *words: str, **more: Any
) -> dict[str, int]:
    ran = ansible.play([node], stack.apply(**more), *words, variables=stack.variables)
    assert ran.returncode == 0, ran.stdout
    return containers.recap(ran)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_roles_install_from_the_mirror_with_no_route_out(
    suite: str, request: pytest.FixtureRequest, ansible: containers.Ansible, debian: Stack
) -> None:
    with containers.node(request.getfixturevalue(suite), "--network=none", debian.mount()) as node:
        assert node.run("ls", "/sys/class/net").split() == ["lo"]
        bare = node.changed_files()
        assert applied(ansible, node, debian, "--check")["changed"] > 0
        assert node.changed_files() == bare

        assert applied(ansible, node, debian)["changed"] > 0
        installed = node.run("dpkg-query", "--show", "--showformat=${Package} ${Version}\n").splitlines()
        for package in (TOOLKIT, f"{TOOLKIT}-base", "libnvidia-container1", "libnvidia-container-tools"):
            assert f"{package} 1.20.1-1" in installed
        assert "nvidia-fabricmanager 580.173.02-1" in installed
        assert "gzip compressed" in node.run("python3", "-c", _KIND, INSTALLER)

        entries = manifest_of(node, debian)
        assert entries[INSTALLER]["component"] == "efa"
        assert entries["libnvidia-container1"]["component"] == "nvidia_container_toolkit"  # it is only needed
        assert entries[TOOLKIT]["verified"] == "signed index"
        assert entries[TOOLKIT]["signer"] == debian.signer
        assert entries[TOOLKIT]["package_version"] == "1.20.1-1"
        source = entries[TOOLKIT]["source"].removeprefix("file://")
        assert node.run("sha256sum", source).split()[0] == entries[TOOLKIT]["sha256"]
        assert node.run("sha256sum", INSTALLER).split()[0] == entries[INSTALLER]["sha256"]

        policy = node.run("apt-cache", "policy", TOOLKIT)
        assert re.search(r"\*\*\* 1\.20\.1-1 1000\n", policy)
        sources = [path for path in node.run("ls", "/etc/apt/sources.list.d").split() if path.startswith("adt-")]
        assert len(sources) == 2
        for path in sources:
            text = node.run("cat", f"/etc/apt/sources.list.d/{path}")
            keyring = re.search(r"^Signed-By: (/etc/apt/keyrings/\S+\.gpg)$", text, re.MULTILINE)
            assert keyring
            assert node.mode(keyring[1]) == "644 root"
            assert "Trusted" not in text

        before = node.run("cat", containers.MANIFEST)
        assert applied(ansible, node, debian)["changed"] == 0
        assert applied(ansible, node, debian, "--check")["changed"] == 0
        assert node.run("cat", containers.MANIFEST) == before

        assert applied(ansible, node, debian, repository_state="absent")["changed"] > 0
        left = node.run("find", "/etc/apt", "-name", "adt-*")
        assert left == ""
        assert applied(ansible, node, debian, repository_state="absent")["changed"] == 0


_KIND = (
    "import sys; print('gzip compressed' if open(sys.argv[1], 'rb').read(2) == bytes([31, 139]) else 'something else')"
)


def test_one_flipped_byte_in_the_mirror_is_refused(ansible: containers.Ansible, bookworm: str, debian: Stack) -> None:
    efa = debian.component("efa")["files"][0]["file"]["url"].partition("//")[2].replace(":", "_")
    package = next(debian.mirror.rglob("libnvidia-container1_*.deb"))
    kept = {path: path.read_bytes() for path in (debian.mirror / efa, package)}
    try:
        for path, data in kept.items():
            path.write_bytes(flipped(data, len(data) // 2))
        with containers.node(bookworm, "--network=none", debian.mount()) as node:
            steps = debian.apply()
            ran = ansible.play([node], steps[:1], variables=debian.variables)
            assert ran.returncode != 0
            assert re.search(r"; fix: do\s+not use", ran.stdout)
            assert node.run("ls", "/usr/local/src") == ""
            ran = ansible.play([node], steps[1:2], variables=debian.variables)
            assert ran.returncode != 0
            assert "Traceback" not in ran.stdout
            assert TOOLKIT not in node.run("dpkg-query", "--show")
            assert node.run("sh", "-c", f"ls {containers.MANIFEST} 2>&1", check=False).endswith(
                "No such file or directory\n"
            )
    finally:
        for path, data in kept.items():
            path.write_bytes(data)


def test_a_mirror_that_somebody_else_signed_is_refused(
    ansible: containers.Ansible, bookworm: str, debian: Stack, stranger: str
) -> None:
    with containers.node(bookworm, "--network=none", debian.mount()) as node:
        bare = node.changed_files()
        variables = {**debian.variables, "artifact_mirror_signer": stranger}
        ran = ansible.play([node], debian.apply()[1:2], variables=variables)
        assert ran.returncode != 0
        said = " ".join(ran.stdout.split())
        assert f"mirror.asc holds key {debian.signer}, and {stranger} is the pinned signer; fix: " in said
        assert node.changed_files() == bare


def test_a_mirror_is_also_served_over_http(ansible: containers.Ansible, bookworm: str, debian: Stack) -> None:
    with origin() as served, containers.node(bookworm, "--network=host") as node:
        served.serve_folder(debian.mirror)
        variables = {**debian.variables, "artifact_mirror": served.address}
        ran = ansible.play([node], debian.apply(), variables=variables)
        assert ran.returncode == 0, ran.stdout
        assert "1.20.1-1" in node.run("dpkg-query", "--show", TOOLKIT)
        assert node.manifest()["entries"][0]["source"].startswith(served.address)


def test_dnf_installs_from_the_mirror_with_no_route_out(
    ansible: containers.Ansible, amazon: str, amazon2023: Stack
) -> None:
    """On a Debian with dnf that calls itself Amazon Linux 2023."""
    with containers.node(amazon, "--network=none", amazon2023.mount()) as node:
        bare = node.changed_files()
        ran = ansible.play([node], amazon2023.apply()[1:2], variables=amazon2023.variables)
        assert "dnf has no plugin versionlock" in ran.stdout
        assert node.changed_files() == bare

        assert applied(ansible, node, amazon2023, repository_hold=False)["changed"] > 0
        installed = node.run("rpm", "--query", "--all").splitlines()
        assert f"{TOOLKIT}-1.20.1-1.x86_64" in installed
        assert any(one.startswith("nvidia-fabricmanager-580.173.02-1") for one in installed)
        entries = manifest_of(node, amazon2023)
        assert entries[TOOLKIT]["verified"] == "signed index"
        assert entries["libnvidia-container1"]["component"] == "nvidia_container_toolkit"
        for path in node.run("find", "/etc/yum.repos.d", "-name", "adt-*.repo").split():
            text = node.run("cat", path)
            assert "\ngpgcheck=1\nrepo_gpgcheck=1\n" in text
        assert applied(ansible, node, amazon2023, repository_hold=False)["changed"] == 0
        assert applied(ansible, node, amazon2023, repository_hold=False, repository_state="absent")["changed"] > 0
        assert node.run("find", "/etc/yum.repos.d", "/etc/pki/rpm-gpg", "-name", "adt-*") == ""
