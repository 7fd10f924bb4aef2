"""Repositories: entries of the catalogue, indexes as vendors write them, and the files of a node."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import (
    artifact_openpgp,
    repository,
    repository_apt,
    repository_dnf,
    repository_index,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import Package, Relation

SIGNER = "C95B321B61E88C1809C4F759DDCAE044F796ECB0"
STATED = {"signer": SIGNER, "verified_from": "code(10)"}
ENTRY: dict[str, Any] = {
    "base": {"url": "https://v.example/linux/debian", **STATED},
    "key": {"url": "https://v.example/linux/debian/gpg", **STATED},
    "suite": "bookworm",
    "sections": ["stable"],
    "packages": {"tool": "5:1.2-3"},
}
FLAT = {**ENTRY, "suite": "/"}
APT = repository.read_repository(ENTRY, "apt", "x86_64")
DNF = repository.read_repository({**FLAT, "module": "tool:580-open"}, "dnf", "aarch64")


def test_a_suite_with_sections_and_a_flat_one() -> None:
    assert repository_apt.index_paths(APT) == ["stable/binary-amd64/Packages"]
    assert repository_apt.suite_folder(APT) == "dists/bookworm"
    flat = repository.read_repository(FLAT, "apt", "aarch64")
    assert repository_apt.index_paths(flat) == ["Packages"]
    assert repository_apt.suite_folder(flat) == ""
    deeper = repository.read_repository({**ENTRY, "suite": "stable/arm64/"}, "apt", "aarch64")
    assert repository_apt.suite_folder(deeper) == "stable/arm64"


def test_a_repository_without_a_known_signer_is_refused_with_the_reason() -> None:
    reason = "the full fingerprint of D42D0685 was not found"
    unknown = {"url": "https://v.example/rpm", "unverified": reason}
    with pytest.raises(TrainingError) as refused:
        repository.read_repository({**ENTRY, "base": unknown, "key": unknown}, "dnf", "x86_64")
    assert str(refused.value).startswith(
        f"repository https://v.example/rpm is unverified ({reason}); fix: state in stack_o"
    )


def test_a_suite_that_is_not_flat_needs_sections() -> None:
    with pytest.raises(TrainingError, match="has suite 'bookworm' and no sections"):
        repository.read_repository({**ENTRY, "sections": []}, "apt", "x86_64")


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("5:29.8.1-1~debian.12~bookworm", "5:29.8.1-1~debian.12~bookworm", True),
        ("5:29.8.1-1~debian.12~bookworm", "5:29.8.1-*", True),
        ("5:29.8.1-1~debian.12~bookworm", "29.8.1-*", True),
        ("3:580.173.02-1.amzn2023", "580.173.02-1.amzn2023", True),
        ("3:580.173.02-1.amzn2023", "2:580.173.02-1.amzn2023", False),
        ("580.173.02-1", "580.173.0*", True),
        ("580.173.02-1", "580.173.0", False),
        ("580.173.02-10", "580.173.02-1", False),
    ],
)
def test_a_version_is_the_one_that_the_catalogue_states(version: str, wanted: str, fits: bool) -> None:
    assert repository.version_fits(version, wanted) is fits


def test_a_version_that_is_not_there_names_those_that_are() -> None:
    there = [Package("tool", f"1.{number}", "all", "0" * 64, 1, "x") for number in range(3)]
    assert str(repository.missing(APT, there, "tool", "2.0")) == (
        "tool 2.0 is not in repository https://v.example/linux/debian bookworm: it has 1.0, 1.1, 1.2; "
        "fix: state a version that is there in stack_overrides"
    )


def by_path(files: list[repository.NodeFile]) -> dict[str, str | None]:
    return {file.path: None if file.content is None else file.content.decode() for file in files}


def test_the_files_of_an_apt_node() -> None:
    files = by_path(
        repository.node_files(APT, "file:///srv/m/v.example/linux/debian", [b"key"], "tool", {"tool": "1.2*"}, True)
    )
    name = "adt-v-example-linux-debian-bookworm"
    assert files == {
        f"/etc/apt/keyrings/{name}.gpg": "key",
        f"/etc/apt/sources.list.d/{name}.sources": (
            "# Written by Ansible, role awsome.distributed_training.repository.\n"
            "Types: deb\nURIs: file:///srv/m/v.example/linux/debian\nSuites: bookworm\nComponents: stable\n"
            f"Architectures: amd64\nSigned-By: /etc/apt/keyrings/{name}.gpg\n"
        ),
        "/etc/apt/preferences.d/adt-tool.pref": (
            "# Written by Ansible, role awsome.distributed_training.repository.\n"
            "Package: tool\nPin: version 1.2*\nPin-Priority: 1000\n"
        ),
    }


def test_the_files_of_a_dnf_node() -> None:
    files = by_path(repository.node_files(DNF, "https://v.example/rpm", [b"index", b"packages"], "tool", {}, True))
    name = "adt-v-example-linux-debian"
    assert set(files) == {
        f"/etc/pki/rpm-gpg/{name}.asc",
        f"/etc/pki/rpm-gpg/{name}-packages.asc",
        f"/etc/yum.repos.d/{name}.repo",
        "/etc/dnf/modules.d/tool.module",
    }
    text = files[f"/etc/yum.repos.d/{name}.repo"]
    assert text is not None
    assert "\nbaseurl=https://v.example/rpm\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\n" in text
    assert f"gpgkey=file:///etc/pki/rpm-gpg/{name}.asc file:///etc/pki/rpm-gpg/{name}-packages.asc\n" in text
    assert "stream=580-open\n" in (files["/etc/dnf/modules.d/tool.module"] or "")


@pytest.mark.parametrize("of", [APT, DNF])
def test_nothing_of_an_absent_repository_stays(of: repository.Repository) -> None:
    assert set(by_path(repository.node_files(of, of.base, [], "tool", {}, False)).values()) == {None}


def test_version_locks_of_others_stay() -> None:
    locked = repository.version_locks("mine-0:1-1.*", "tool", {"a": "1.2-3", "b": "3:4-5"})
    assert locked == "mine-0:1-1.*\n# begin tool\na-0:1.2-3.*\nb-3:4-5.*\n# end tool\n"
    assert (
        repository.version_locks(locked, "tool", {"a": "2-1"}) == "mine-0:1-1.*\n# begin tool\na-0:2-1.*\n# end tool\n"
    )
    assert repository.version_locks(locked, "tool", {}) == "mine-0:1-1.*\n"


def test_components_do_not_move_each_others_version_locks() -> None:
    both = repository.version_locks(repository.version_locks("", "first", {"a": "1-1"}), "second", {"b": "2-1"})
    assert repository.version_locks(both, "first", {"a": "1-1"}) == both
    assert repository.version_locks(both, "second", {"b": "2-1"}) == both


def test_armour_is_what_others_read_again() -> None:
    data = bytes(range(256)) * 3
    assert artifact_openpgp.binary(repository.armoured(data)) == data


PACKAGES = f"""\
Package: libtool1
Version: 1.2-3
Architecture: amd64
Maintainer: somebody
Pre-Depends: libc6 (>= 2.35), dpkg
Depends: libtool-data:any (= 1.2-3) | libtool-compat, libstdc++6
Provides: libtool-abi-1, libtool (= 1.2)
Filename: ./libtool1_1.2-3_amd64.deb
Size: 1234
SHA256: {"AB" * 32}
Description: a library
 in two lines
 .
 and a third

Package: libtool-data
Version: 1.2-3
Architecture: all
Filename: pool/libtool-data.deb
Size: 10
SHA256: {"cd" * 32}
"""


def test_packages_are_read_as_a_vendor_writes_them() -> None:
    first, second = repository_apt.read_packages(PACKAGES, "https://v.example")
    assert (first.name, first.version, first.arch, first.size) == ("libtool1", "1.2-3", "amd64", 1234)
    assert first.path == "libtool1_1.2-3_amd64.deb"
    assert first.sha256 == "ab" * 32
    assert first.needs == (
        (Relation("libc6", ">=", "2.35"),),
        (Relation("dpkg"),),
        (Relation("libtool-data", "=", "1.2-3"), Relation("libtool-compat")),
        (Relation("libstdc++6"),),
    )
    assert first.provides == (
        Relation("libtool1", "=", "1.2-3"),
        Relation("libtool-abi-1"),
        Relation("libtool", "=", "1.2"),
    )
    assert second.path == "pool/libtool-data.deb"


def test_packages_are_written_in_the_vendors_own_words() -> None:
    packages = repository_apt.read_packages(PACKAGES, "https://v.example")
    text = repository_apt.packages_text(packages)
    assert repository_apt.read_packages(text, "https://v.example") == sorted(packages, key=lambda one: one.name)
    for line in PACKAGES.splitlines():
        assert line in text.splitlines()


@pytest.mark.parametrize("field", ["Version", "SHA256", "Size", "Filename"])
def test_an_index_that_says_too_little_of_a_package_is_refused(field: str) -> None:
    text = "".join(f"{line}\n" for line in PACKAGES.splitlines() if not line.startswith(field))
    with pytest.raises(TrainingError, match=f"says no {field.lower()} of libtool1"):
        repository_apt.read_packages(text, "https://v.example")


def test_a_package_whose_path_leads_out_of_its_repository_is_refused() -> None:
    with pytest.raises(TrainingError, match="leads out of its folder"):
        repository_apt.read_packages(PACKAGES.replace("./libtool1_", "../../etc/libtool1_"), "https://v.example")


RELEASE = f"Suite: noble\nDate: x\nValid-Until: Thu, 02 Jan 2020 00:00:00 UTC\nSHA256:\n {'ab' * 32} 12 main/Packages\n"
SECOND_OF_JANUARY = 1577923200


def test_a_release_counts_until_its_last_day() -> None:
    release = repository_apt.read_release(RELEASE, "r", SECOND_OF_JANUARY - 1)
    assert release.files == {"main/Packages": ("ab" * 32, 12)}
    assert release.fields["suite"] == "noble"
    with pytest.raises(TrainingError, match="r was valid until Thu, 02 Jan 2020"):
        repository_apt.read_release(RELEASE, "r", SECOND_OF_JANUARY + 1)
    with pytest.raises(TrainingError, match="was valid until"):
        repository_apt.read_release(RELEASE.replace("Thu, 02 Jan 2020", "some day"), "r", 1)


def test_a_release_with_weak_digests_alone_is_refused() -> None:
    with pytest.raises(TrainingError, match="states no sha256"):
        repository_apt.read_release(RELEASE.replace("SHA256:", "MD5Sum:"), "r", 0)


def test_a_subsets_release_keeps_the_names_that_apt_looks_at() -> None:
    vendor = {"suite": "noble", "codename": "noble", "origin": "the vendor"}
    content = b"Package: x\n"
    text = repository_apt.release_text(
        vendor, "https://v.example/d", ["amd64"], ["main"], {"main/Packages": content}, 0
    )
    release = repository_apt.read_release(text, "r", 0)
    assert release.files == {"main/Packages": (hashlib.sha256(content).hexdigest(), len(content))}
    assert release.fields["codename"] == "noble"
    assert release.fields["date"] == "Thu, 01 Jan 1970 00:00:00 UTC"
    assert release.fields["origin"] == "mirror of https://v.example/d"
    assert "valid-until" not in release.fields


NAMESPACES = {name: f"http://{repository_dnf._NAMESPACES}/{name}" for name in ("common", "rpm", "repo", "filelists")}
PRIMARY = f"""<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="{NAMESPACES["common"]}" xmlns:rpm="{NAMESPACES["rpm"]}" packages="1">
<package type="rpm">
  <name>tool</name><arch>x86_64</arch>
  <version epoch="3" ver="580.173.02" rel="1.amzn2023"/>
  <checksum type="sha256" pkgid="YES">{"ab" * 32}</checksum>
  <summary>a &amp; b</summary>
  <size package="1234" installed="1" archive="1"/>
  <location href="./tool-580.rpm"/>
  <format>
    <rpm:provides><rpm:entry name="tool" flags="EQ" epoch="3" ver="580.173.02" rel="1.amzn2023"/></rpm:provides>
    <rpm:requires>
      <rpm:entry name="rpmlib(CompressedFileNames)" flags="LE" ver="3.0.4" rel="1"/>
      <rpm:entry name="libtool" flags="GE" epoch="3" ver="580"/>
      <rpm:entry name="/usr/bin/other"/>
      <rpm:entry name="(kmod-a or kmod-b)"/>
    </rpm:requires>
    <file>/usr/bin/tool</file>
  </format>
</package>
</metadata>
"""


def test_a_primary_index_is_read_as_createrepo_writes_it() -> None:
    (package,) = repository_dnf.read_primary(PRIMARY.encode(), "https://v.example")
    assert (package.name, package.version, package.arch) == ("tool", "3:580.173.02-1.amzn2023", "x86_64")
    assert (package.path, package.size, package.sha256) == ("tool-580.rpm", 1234, "ab" * 32)
    assert package.needs == (
        (Relation("libtool", ">=", "3:580"),),
        (Relation("/usr/bin/other"),),
        (Relation("kmod-a"), Relation("kmod-b")),
    )
    assert package.provides == (Relation("tool", "=", "3:580.173.02-1.amzn2023"), Relation("/usr/bin/tool"))


def test_a_primary_index_is_written_in_the_vendors_own_words() -> None:
    packages = repository_dnf.read_primary(PRIMARY.encode(), "https://v.example")
    text = repository_dnf.primary_text(packages)
    (again,) = repository_dnf.read_primary(text, "https://v.example")
    assert again == packages[0]
    assert ElementTree.fromstring(text).get("packages") == "1"
    assert b"a &amp; b" in text
    assert repository_dnf.primary_text([again]) == text


def test_an_index_of_weak_digests_is_refused() -> None:
    with pytest.raises(TrainingError, match="holds tool to sha1"):
        repository_dnf.read_primary(PRIMARY.replace('"sha256"', '"sha1"').encode(), "https://v.example")
    with pytest.raises(TrainingError, match="is no XML"):
        repository_dnf.read_primary(b"<html>", "https://v.example")
    with pytest.raises(TrainingError, match="leads out of its folder"):
        repository_dnf.read_primary(PRIMARY.replace("./tool", "../tool").encode(), "https://v.example")


def test_repomd_names_its_parts_by_their_digest() -> None:
    parts = {"primary": b"<metadata/>", "modules": b"---\n"}
    repomd, files = repository_dnf.repomd_text(parts, 7)
    read = repository_dnf.read_repomd(repomd, "https://v.example")
    assert set(read) == set(parts)
    for kind, part in read.items():
        assert hashlib.sha256(files[part.path]).hexdigest() == part.sha256
        assert len(files[part.path]) == part.size
        assert gzip.decompress(files[part.path]) == parts[kind]
    assert read["modules"].path.endswith("-modules.yaml.gz")
    with pytest.raises(TrainingError, match="names no primary index"):
        repository_dnf.read_repomd(repomd.replace(b'type="primary"', b'type="other"'), "https://v.example")


def test_file_lists_of_other_packages_are_left_out() -> None:
    packages = "".join(f'<package pkgid="{digest}" name="x" arch="y"><file>/a</file></package>' for digest in "ab")
    data = f'<filelists xmlns="{NAMESPACES["filelists"]}" packages="2">{packages}</filelists>'.encode()
    entries = repository_dnf.file_lists(data, "https://v.example", ["b"])
    assert set(entries) == {"b"}
    assert repository_dnf.file_lists(repository_dnf.filelists_text(entries), "https://v.example", ["b"]) == entries


@pytest.mark.parametrize(
    ("name", "packed"),
    [("x.gz", gzip.compress(b"text")), ("x.xz", lzma.compress(b"text")), ("x", b"text")],
)
def test_parts_are_unpacked_by_their_names(name: str, packed: bytes) -> None:
    assert repository_index.unpacked(packed, name) == b"text"


def test_a_mirror_needs_its_signer() -> None:
    with pytest.raises(
        TrainingError, match="a mirror is given, and not whom it is signed by; fix: set artifact_mirror_s"
    ):
        repository_index.source_of(APT, "/srv/mirror")
    assert repository_index.source_of(APT, "/srv/mirror", SIGNER) == repository_index.Source(
        "file:///srv/mirror/v.example/linux/debian", "file:///srv/mirror/mirror.asc", SIGNER
    )
    assert repository_index.source_of(APT) == repository_index.Source(APT.base, APT.key, SIGNER)
