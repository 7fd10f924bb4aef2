"""What playbook mirror is asked for, and which files and repositories that means."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import mirror_plan
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.mirror_plan import Item, Left

SIGNER = "A" * 40
STATED = {"signer": SIGNER, "verified_from": "code(2)"}


def repository(url: str, packages: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"base": {"url": url, **STATED}, "key": {"url": f"{url}/key", **STATED}, "packages": packages, **more}


def file(name: str, **more: Any) -> dict[str, Any]:
    held = more.pop("held", {"sha256": "0" * 64, "verified_from": "calculated"})
    return {"file": {"url": f"https://v.example/{name}", **held}, **more}


def versions(**about: Any) -> dict[str, Any]:
    return {"summary": "x", "licence": "x", "versions": {"1": {"fact_source": "a test", **about}}}


COMPONENTS = {
    "driver": versions(
        repositories=[
            repository("https://v.example/deb", {"driver": "1-1"}, os=["debian12"], suite="/"),
            repository("https://v.example/rpm", {"driver": "1-1.amzn"}, os=["amazon2023"], module="driver:1"),
        ]
    ),
    "manager": versions(
        repositories=[repository("https://v.example/deb", {"manager": "1-1"}, os=["debian12"], suite="/")]
    ),
    "installer": versions(files=[file("installer.tar")], bundles={"library": "2"}),
    "library": {"summary": "x", "licence": "x", "versions": {}},
    "tool": versions(files=[file("tool-x86", arch=["x86_64"]), file("tool-arm", arch=["aarch64"])]),
    "unknown": versions(files=[file("unknown", held={"unverified": "nobody states it"})]),
    "wheel": versions(python={"package": "wheel", "locked_in": "x"}),
    "image": versions(images=[{"image": {"url": "docker://v.example/x:1", "unverified": "x"}}]),
    "kernel": versions(system=[{"os": ["amazon2023"], "packages": {"kernel": "1"}}]),
    "client": versions(files=[file("client")]),
}
DOCUMENT = {
    "schema": 1,
    "default": "only",
    "stacks": {
        "only": {
            "summary": "x",
            "components": {name: "1" for name, about in COMPONENTS.items() if about["versions"]},
            "left_out": {"client": {"debian12": "there is none for Debian"}},
        }
    },
    "components": COMPONENTS,
}


def wanted(**given: Any) -> mirror_plan.Wanted:
    asked = {"os": ["debian12"], "mirror_signer": SIGNER, **given}
    return mirror_plan.wanted(DOCUMENT, mirror_plan.read_request(asked, [], plan_only=False))


def test_a_stack_means_its_files_and_repositories_on_the_systems_alone() -> None:
    result = wanted()
    assert [one.artifact.url.rpartition("/")[2] for one in result.files] == ["installer.tar", "tool-x86"]
    (only,) = result.repositories
    assert (only.repository.kind, only.repository.base) == ("apt", "https://v.example/deb")
    assert only.packages == {("driver", "1"): {"driver": "1-1"}, ("manager", "1"): {"manager": "1-1"}}


def test_what_is_not_in_it_is_named_with_the_reason() -> None:
    reasons = {one.component: one.reason for one in wanted().left}
    assert reasons == {
        "client": "there is none for Debian",
        "image": "a container image, which comes from a registry",
        "kernel": "the catalogue names no source of it there",
        "library": "it comes inside of installer 1",
        "unknown": "https://v.example/unknown is unverified (nobody states it)",
        "wheel": "its Python packages are held by a lock file, and come from a package index",
    }


def test_what_is_unverified_is_refused_where_it_was_asked_for() -> None:
    with pytest.raises(TrainingError, match=r"is unverified \(nobody states it\); fix: state its sha256"):
        wanted(components=["unknown"])


def test_several_systems_and_architectures_share_what_they_have_in_common() -> None:
    result = wanted(os="debian12, amazon2023", arch=["x86_64", "aarch64"])
    urls = [one.artifact.url.rpartition("/")[2] for one in result.files]
    assert sorted(urls) == ["client", "installer.tar", "tool-arm", "tool-x86"]
    kinds = [(one.repository.kind, one.repository.arch) for one in result.repositories]
    assert sorted(kinds) == [("apt", "aarch64"), ("apt", "x86_64"), ("dnf", "aarch64"), ("dnf", "x86_64")]
    assert [(one.where, one.reason) for one in result.left if one.component == "kernel"] == [
        ("amazon2023 x86_64, amazon2023 aarch64", "a package of the system's own repositories"),
        ("debian12 x86_64, debian12 aarch64", "the catalogue names no source of it there"),
    ]


def test_a_request_has_defaults_and_a_plan_needs_no_signer() -> None:
    request = mirror_plan.read_request({"os": "debian12"}, ["os", "adt_x", "artifact_redirects"], plan_only=True)
    assert request == {
        "stack": "",
        "stack_overrides": {},
        "os": ["debian12"],
        "arch": ["x86_64"],
        "components": [],
        "mirror_dir": "mirror",
        "mirror_signer": "",
        "mirror_s3": "",
    }


def test_a_fingerprint_may_be_written_as_gnupg_shows_it() -> None:
    spaced = "4e90 91BC BB97 A96B 26B1  5E59 A054 80B1 DD2D 3CCC"
    request = mirror_plan.read_request({"os": "debian12", "mirror_signer": spaced}, [], plan_only=False)
    assert request["mirror_signer"] == "4E9091BCBB97A96B26B15E59A05480B1DD2D3CCC"


@pytest.mark.parametrize("signer", ["", "DD2D3CCC", "A" * 39, "G" * 40])
def test_what_is_no_whole_fingerprint_is_refused(signer: str) -> None:
    with pytest.raises(TrainingError, match="is no fingerprint of a key"):
        mirror_plan.read_request({"os": "debian12", "mirror_signer": signer}, [], plan_only=False)


def test_a_list_that_is_none_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"components=\{'x': 1\} is no list of names"):
        mirror_plan.read_request({"os": "debian12", "components": {"x": 1}}, [], plan_only=True)


def test_the_plan_shows_a_line_for_each_component_and_the_sums() -> None:
    items = [
        Item("efa", "1.50.0", "a", 650 << 20, False),
        Item("dcgm", "4.7.0", "b", 1024, True),
        Item("dcgm", "4.7.0", "c", 1536, False),
        Item("tool", "1", "d", None, False),
    ]
    left = [Left("torch", "debian12", "why"), Left("jax", "debian12", "why")]
    assert mirror_plan.plan_lines("a mirror", items, left) == [
        "a mirror",
        "  component  version  files       size   to fetch",
        "  dcgm       4.7.0        2    2.5 KiB    1.5 KiB",
        "  efa        1.50.0       1  650.0 MiB  650.0 MiB",
        "  tool       1            1          ?          ?",
        "  not in it, debian12: torch, jax: why",
        "4 files, 650.0 MiB+; to fetch: 3 files, 650.0 MiB+",
    ]
