"""Stand-ins: what real apt, dpkg, dnf, rpm and gpgv make of them, and that nobody takes them for the vendors' own."""

from __future__ import annotations

import copy
import hashlib
import io
import itertools
import os
import platform
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.stand_ins import builder, plain, rpm
from ansible_collections.awsome.distributed_training.tests.stand_ins.__main__ import main
from ansible_collections.awsome.distributed_training.tests.stand_ins.package import made_version
from ansible_collections.awsome.distributed_training.tests.stand_ins.signing import Keyring

DEB_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
NVIDIA = "https://nvidia.example/repos"
TOOLKIT = ("nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnvidia-container-tools")
UNKNOWN = {"unverified": "a test does not know"}


def repository(base: str, packages: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """A source of packages as the catalogue writes it."""
    key = {"url": f"{NVIDIA}/key.pub", "signer": "A" * 40, "verified_from": "code(1)"}
    return {"base": {"url": base, **UNKNOWN}, "key": key, "packages": dict(packages), **more}


def download(url: str, **more: Any) -> dict[str, Any]:
    return {"file": {"url": url, **UNKNOWN, **more}}


def of(*sources: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The one version of a component, from files or repositories."""
    kinds = {"repositories": [s for s in sources if "base" in s], "files": [s for s in sources if "file" in s]}
    return {"fact_source": "a test", **{kind: group for kind, group in kinds.items() if group}, **more}


def document(**components: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A catalogue with one stack of components and their version."""
    return {
        "schema": 1,
        "default": "only",
        "stacks": {
            "only": {"summary": "of a test", "components": {name: version for name, (version, _) in components.items()}}
        },
        "components": {
            name: {"summary": name, "licence": "none", "versions": {version: about}}
            for name, (version, about) in components.items()
        },
    }


EFA_URL = "https://efa.example/aws-efa-installer-1.50.0.tar.gz"
TWELVE = {"os": ["debian12"], "arch": ["x86_64", "aarch64"]}
AMAZON = {"os": ["amazon2023"], "arch": ["x86_64", "aarch64"]}
DOCUMENT = document(
    dcgm=(
        "4.7.0",
        of(
            repository(
                f"{NVIDIA}/debian12/x86_64/",
                {"datacenter-gpu-manager-4-core": "1:4.7.0-1", "datacenter-gpu-manager-4-cuda13": "1:4.7.0-1"},
                suite="/",
                **TWELVE,
            )
        ),
    ),
    docker=(
        "29.8.1",
        of(
            repository(
                "https://docker.example/linux/debian",
                {"docker-ce": "5:29.8.1-1~debian.12~bookworm", "docker-ce-cli": "5:29.8.1-1~debian.12~bookworm"},
                suite="bookworm",
                sections=["stable"],
                **TWELVE,
            )
        ),
    ),
    nvidia_driver=(
        "580.173.02",
        of(
            repository(
                f"{NVIDIA}/debian12/x86_64/",
                {"nvidia-driver-580-open": "580.173.02-*", "nvidia-dkms-580-open": "580.173.02-*"},
                suite="/",
                **TWELVE,
            ),
            repository(
                f"{NVIDIA}/amzn2023/x86_64",
                {
                    "kmod-nvidia-open-dkms": "3:580.173.02-1.amzn2023",
                    "nvidia-driver-cuda": "3:580.173.02-1.amzn2023",
                    "nvidia-persistenced": "3:580.173.02-1.amzn2023",
                },
                module="nvidia-driver:580-open",
                **AMAZON,
            ),
        ),
    ),
    nvidia_fabricmanager=(
        "580.173.02",
        of(
            repository(f"{NVIDIA}/debian12/x86_64/", {"nvidia-fabricmanager": "580.173.02-1"}, suite="/", **TWELVE),
            repository(f"{NVIDIA}/amzn2023/x86_64", {"nvidia-fabricmanager": "580.173.02-1.amzn2023"}, **AMAZON),
        ),
    ),
    nvidia_container_toolkit=(
        "1.20.1",
        of(
            repository(
                "https://toolkit.example/stable/deb/amd64",
                dict.fromkeys((*TOOLKIT, "libnvidia-container1"), "1.20.1-1"),
                suite="/",
                **TWELVE,
            ),
            repository(
                "https://toolkit.example/stable/rpm/x86_64",
                dict.fromkeys((*TOOLKIT, "libnvidia-container1"), "1.20.1-1"),
                **AMAZON,
            ),
        ),
    ),
    efa=(
        "1.50.0",
        of(
            download(
                EFA_URL,
                signature={"url": f"{EFA_URL}.sig", **UNKNOWN},
                key={
                    "url": "https://efa.example/aws-efa-installer.key",
                    "signer": "B" * 40,
                    "verified_from": "code(1)",
                },
            ),
            bundles={
                "aws_ofi_nccl": "1.21.1",
                "efa_driver": "3.3.0",
                "libfabric": "2.6.0amzn1.0",
                "rdma_core": "64.0amzn0",
            },
        ),
    ),
    enroot=(
        "4.1.2",
        of(
            *(
                {**download(f"https://code.example/v4.1.2/{name}_4.1.2-1_{DEB_ARCH}.deb"), **TWELVE}
                for name in ("enroot", "enroot+caps")
            ),
            {**download(f"https://code.example/v4.1.2/enroot-4.1.2-1.el8.{platform.machine()}.rpm"), **AMAZON},
        ),
    ),
    nccl=("2.30.7-1", of(download("https://code.example/nccl/v2.30.7-1.tar.gz"))),
    nvidia_run=("580.173.02", of(download("https://run.example/NVIDIA-Linux-x86_64-580.173.02.run"))),
    aws_cli=("2.36.40", of(download("https://cli.example/awscli-exe-linux-x86_64-2.36.40.zip"))),
)

Built = tuple[Path, dict[str, Any]]


def needs_rpm_tools(*more: str) -> None:
    """Skip where packages of Amazon Linux cannot be built or read."""
    if missing := [name for name in (*rpm.TOOLS, *more) if shutil.which(name) is None]:
        pytest.skip(f"missing: {', '.join(missing)}")


@pytest.fixture(scope="module")
def debian(make_workplace: Callable[[str], Path]) -> Built:
    """Stand-ins for Debian 12 and this machine's architecture, served as a folder."""
    out = make_workplace("stand-ins-debian") / "out"
    return out, builder.build(out, DOCUMENT, None, ["debian12"], [platform.machine()], base_url=out.as_uri())


@pytest.fixture(scope="module")
def amazon(make_workplace: Callable[[str], Path]) -> Built:
    """Stand-ins for Amazon Linux 2023."""
    needs_rpm_tools("dnf")
    if os.geteuid() != 0:
        pytest.skip("dnf installs as root alone")
    out = make_workplace("stand-ins-amazon") / "out"
    return out, builder.build(out, DOCUMENT, None, ["amazon2023"], ["x86_64"], base_url=out.as_uri())


def source(overrides: Mapping[str, Any], component: str, kind: str = "repositories") -> dict[str, Any]:
    """The first source of a component in overrides."""
    (version,) = overrides["components"][component]["versions"].values()
    first: dict[str, Any] = version[kind][0]
    return first


def local(url: str) -> Path:
    return Path(urlsplit(url).path)


def check(*words: object, env: Mapping[str, str] | None = None) -> str:
    """What a command prints; it must end with status 0."""
    ran = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, env={**os.environ, **(env or {})}
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def flipped(data: bytes) -> bytes:
    """One bit in the middle turned over."""
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    return bytes(changed)


class Apt:
    """Real apt with a root of its own: nothing of this machine's apt takes part."""

    def __init__(self, root: Path, sources: list[dict[str, Any]]) -> None:
        self.root = root
        for folder in (
            "etc/apt/sources.list.d",
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "var/lib/dpkg",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives",
        ):
            (root / folder).mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()
        settings = f'Dir "{root}"; APT::Architecture "{DEB_ARCH}"; APT::Architectures {{ "{DEB_ARCH}"; }};\n'
        (root / "apt.conf").write_text(f'{settings}APT::Sandbox::User "root";\n')
        for number, one in enumerate(sources):
            fields = {"Types": "deb", "URIs": one["base"]["url"], "Suites": one["suite"]}
            fields |= {"Components": " ".join(one["sections"])} if "sections" in one else {}
            fields |= {"Signed-By": str(local(one["key"]["url"]).with_suffix(".asc"))}
            shutil.copy(local(one["key"]["url"]), fields["Signed-By"])
            text = "".join(f"{name}: {value}\n" for name, value in fields.items())
            (root / f"etc/apt/sources.list.d/{number}.sources").write_text(text)

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["apt-get", "--quiet", *words],
            env={**os.environ, "APT_CONFIG": str(self.root / "apt.conf"), "LC_ALL": "C"},
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def apt(debian: Built, workplace: Path) -> Apt:
    out = workplace / "served"
    shutil.copytree(debian[0], out)
    overrides = yaml.safe_load((out / builder.OVERRIDES).read_text().replace(debian[0].as_uri(), out.as_uri()))
    names = ("docker", "nvidia_driver", "nvidia_container_toolkit")
    return Apt(workplace / "root", [source(overrides, name) for name in names])


class TestApt:
    def test_the_stacks_versions_are_what_apt_takes_with_the_key_pinned(self, apt: Apt) -> None:
        updated = apt("update")
        assert updated.returncode == 0, updated.stderr
        assert "W:" not in updated.stderr
        shown = apt("--simulate", "install", "docker-ce", "nvidia-driver-580-open", "nvidia-fabricmanager").stdout
        assert "Inst docker-ce (5:29.8.1-1~debian.12~bookworm " in shown
        assert "Inst nvidia-fabricmanager (580.173.02-1 " in shown
        assert "Inst nvidia-driver-580-open (580.173.02-0.standin " in shown

    def test_a_package_brings_what_the_vendor_says_it_needs_in_its_own_version(self, apt: Apt) -> None:
        apt("update")
        shown = apt("--simulate", "install", "nvidia-container-toolkit=1.20.1-1").stdout
        installed = {line.split()[1]: line.split()[2] for line in shown.splitlines() if line.startswith("Inst ")}
        assert installed == dict.fromkeys((*TOOLKIT, "libnvidia-container1"), "(1.20.1-1")

    def test_what_apt_downloads_is_a_package_with_a_unit_and_says_stand_in(self, apt: Apt) -> None:
        apt("update")
        got = apt("download", "nvidia-fabricmanager", "datacenter-gpu-manager-4-core=1:4.7.0-1")
        assert got.returncode == 0, got.stderr
        files = sorted(apt.root.glob("*.deb"))
        assert [file.name.partition("_")[0] for file in files] == [
            "datacenter-gpu-manager-4-core",
            "nvidia-fabricmanager",
        ]
        for file, unit in zip(files, ("nvidia-dcgm", "nvidia-fabricmanager"), strict=True):
            assert "stand-in" in check("dpkg-deb", "--field", file, "Description")
            check("dpkg-deb", "--extract", file, apt.root / "held")
            assert (
                "ExecStart=/bin/sleep infinity"
                in (apt.root / f"held/usr/lib/systemd/system/{unit}.service").read_text()
            )

    def test_one_changed_byte_of_the_index_is_refused(self, apt: Apt, workplace: Path) -> None:
        index = workplace / "served/docker.example/linux/debian/dists/bookworm/InRelease"
        index.write_bytes(index.read_bytes().replace(b"Origin: stand-in", b"Origin: stand_in"))
        assert "BADSIG" in apt("update").stderr

    def test_one_changed_byte_of_a_package_is_refused(self, apt: Apt, workplace: Path) -> None:
        apt("update")
        (package,) = (workplace / "served/docker.example").rglob("docker-ce_*.deb")
        package.write_bytes(flipped(package.read_bytes()))
        assert "Hash Sum mismatch" in apt("download", "docker-ce").stderr


class TestDnf:
    @pytest.fixture
    def dnf(self, amazon: Built, workplace: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
        _, overrides = amazon
        for folder in ("repos", "log"):
            (workplace / folder).mkdir()
        for name in ("nvidia_driver", "nvidia_container_toolkit"):
            one = source(overrides, name)
            (workplace / f"repos/{name}.repo").write_text(
                f"[{name}]\nname={name}\nbaseurl={one['base']['url']}\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\n"
                f"gpgkey={one['key']['url']}\n"
            )

        def call(*words: str) -> subprocess.CompletedProcess[str]:
            setup = [
                "dnf",
                "--assumeyes",
                f"--installroot={workplace / 'root'}",
                "--releasever=2023",
                "--forcearch=x86_64",
            ]
            options = [f"--setopt=reposdir={workplace / 'repos'}", f"--setopt=cachedir={workplace / 'cache'}"]
            quiet = [
                *setup,
                *options,
                "--setopt=module_platform_id=platform:al2023",
                f"--setopt=logdir={workplace / 'log'}",
            ]
            return support.run([*quiet, *words], workplace)

        return call

    def test_the_stacks_versions_are_what_dnf_takes_with_packages_and_metadata_signed(
        self, dnf: Callable[..., subprocess.CompletedProcess[str]], workplace: Path
    ) -> None:
        ran = dnf("install", "nvidia-container-toolkit-1.20.1-1", "nvidia-fabricmanager")
        assert ran.returncode == 0, ran.stdout
        listed = check("rpm", "--root", workplace / "root", "-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE} %{SUMMARY}\n")
        found = {line.split()[0]: line.split(maxsplit=2)[1:] for line in listed.splitlines()}
        assert {name: found[name][0] for name in (*TOOLKIT, "libnvidia-container1", "nvidia-fabricmanager")} == {
            **dict.fromkeys((*TOOLKIT, "libnvidia-container1"), "1.20.1-1"),
            "nvidia-fabricmanager": "580.173.02-1.amzn2023",
        }
        assert all("stand-in" in summary for name, (_, summary) in found.items() if name != "gpg-pubkey")
        assert (workplace / "root/usr/lib/systemd/system/nvidia-fabricmanager.service").is_file()

    def test_a_module_stream_has_to_be_enabled_for_its_packages(
        self, dnf: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        before = dnf("install", "--downloadonly", "nvidia-driver-cuda")
        assert "filtered out by modular filtering for argument: nvidia-driver-cuda" in before.stdout
        enabled = dnf("module", "enable", "nvidia-driver:580-open")
        assert enabled.returncode == 0, enabled.stdout
        ran = dnf("install", "--downloadonly", "nvidia-driver-cuda-3:580.173.02-1.amzn2023")
        assert ran.returncode == 0, ran.stdout
        assert "nvidia-persistenced" in ran.stdout

    def test_metadata_of_another_signer_is_refused(
        self, dnf: Callable[..., subprocess.CompletedProcess[str]], amazon: Built, workplace: Path
    ) -> None:
        repo = workplace / "repos/nvidia_driver.repo"
        other = source(amazon[1], "efa", "files")["file"]["key"]["url"]
        repo.write_text(repo.read_text().replace(source(amazon[1], "nvidia_driver")["key"]["url"], other))
        ran = dnf("install", "--downloadonly", "nvidia-fabricmanager")
        assert ran.returncode == 1
        assert "Bad GPG signature" in ran.stdout


class TestEfaInstaller:
    @pytest.fixture
    def installer(self, debian: Built, workplace: Path) -> Path:
        """The installer's folder, unpacked; beside it a root that calls itself Debian 12."""
        with tarfile.open(local(source(debian[1], "efa", "files")["file"]["url"])) as archive:
            archive.extractall(workplace, filter="data")
        for folder in ("etc", "var/lib/dpkg/info", "var/lib/dpkg/updates"):
            (workplace / "root" / folder).mkdir(parents=True)
        (workplace / "root/var/lib/dpkg/status").touch()
        (workplace / "root/etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
        return workplace / "aws-efa-installer"

    def run(self, installer: Path, *words: str) -> subprocess.CompletedProcess[str]:
        env = {"DPKG_ROOT": str(installer.parent / "root"), "DPKG_FORCE": "not-root"}
        return support.run(["./efa_installer.sh", *words], installer, env)

    def installed(self, installer: Path) -> set[str]:
        root = f"--root={installer.parent / 'root'}"
        return set(check("dpkg-query", root, "--show", "--showformat", "${Package}=${Version}\n").split())

    def test_its_signature_verifies_with_the_key_of_the_run_alone(self, debian: Built, workplace: Path) -> None:
        file = source(debian[1], "efa", "files")["file"]
        tarball, signature = local(file["url"]), local(file["signature"]["url"])
        (workplace / "key.gpg").write_bytes(
            subprocess.run(
                ["gpg", "--batch", "--dearmor"],
                input=local(file["key"]["url"]).read_bytes(),
                capture_output=True,
                check=True,
            ).stdout
        )
        gpgv = ["gpgv", "--status-fd", "1", "--keyring", str(workplace / "key.gpg"), str(signature)]
        assert f"VALIDSIG {file['key']['signer']}" in check(*gpgv, tarball)
        changed = workplace / "changed.tar.gz"
        changed.write_bytes(flipped(tarball.read_bytes()))
        assert subprocess.run([*gpgv, str(changed)], capture_output=True, check=False).returncode != 0

    def test_it_installs_what_the_version_bundles_and_lists_it(self, installer: Path) -> None:
        ran = self.run(installer, "-y", "-g")
        assert ran.returncode == 0, ran.stdout
        listed = (installer.parent / "root/opt/amazon/efa_installed_packages").read_text().splitlines()
        assert listed[:2] == ["# EFA installer version: 1.50.0", "# Debug packages installed: no"]
        assert {f"efa_3.3.0-1.amzn1_{DEB_ARCH}", f"libfabric1-aws_2.6.0amzn1.0_{DEB_ARCH}"} <= set(listed[3].split())
        assert {"efa=3.3.0-1.amzn1", "ibverbs-providers=64.0amzn0-1"} <= self.installed(installer)
        # no release note names the plugin for Debian 12
        assert not any(name.startswith("libnccl-ofi") for name in self.installed(installer))
        assert self.run(installer, "--uninstall", "--yes").returncode == 0
        assert self.installed(installer) == set()

    @pytest.mark.parametrize(
        ("words", "without"),
        [
            (("-ym",), {"libfabric1-aws", "libfabric-aws-bin", "libfabric-aws-dev"}),
            (("-y", "--skip-kmod"), {"efa"}),
            (
                ("-y", "-n", "--skip-rdma-core"),
                {"ibverbs-providers", "libibverbs1", "libibverbs-dev", "librdmacm1", "librdmacm-dev", "rdma-core"},
            ),
        ],
    )
    def test_it_leaves_out_what_the_vendors_leaves_out(
        self, installer: Path, words: tuple[str, ...], without: set[str]
    ) -> None:
        every = {path.name.partition("_")[0] for path in installer.rglob("*.deb")}
        assert self.run(installer, *words).returncode == 0
        assert {name.partition("=")[0] for name in self.installed(installer)} == every - without

    @pytest.mark.parametrize("words", [("-yz",), ("--what", "-y"), (), ("-y", "word")])
    def test_words_that_it_does_not_know_are_refused(self, installer: Path, words: tuple[str, ...]) -> None:
        assert self.run(installer, *words).returncode == 1
        assert not (installer.parent / "root/opt").exists()

    def test_for_amazon_linux_it_holds_rpms_in_the_vendors_folders(self, amazon: Built) -> None:
        with tarfile.open(local(source(amazon[1], "efa", "files")["file"]["url"])) as archive:
            names = set(archive.getnames())
        folder = "aws-efa-installer/RPMS/ALINUX2023/x86_64"
        assert f"{folder}/efa-driver/efa-3.3.0-1.amzn2023.x86_64.rpm" in names
        assert f"{folder}/rdma-core/rdma-core-64.0amzn0-1.amzn2023.x86_64.rpm" in names
        assert f"{folder}/libnccl-ofi-1.21.1-1.amzn2023.x86_64.rpm" in names


class TestOverrides:
    def test_they_are_a_document_that_the_schema_accepts(self, debian: Built) -> None:
        whole = catalogue.overridden(DOCUMENT, debian[1], controller.schema("stack"))
        assert whole["overridden"] is True
        assert source(whole, "docker")["packages"] == source(DOCUMENT, "docker")["packages"]

    def test_the_file_says_the_same(self, debian: Built) -> None:
        text = (debian[0] / builder.OVERRIDES).read_text()
        assert yaml.safe_load(text) == debian[1]
        assert "&id" not in text

    def test_every_address_is_served_and_every_digest_right(self, debian: Built) -> None:
        artifacts = list(every_artifact(debian[1]))
        assert len(artifacts) > 15
        for artifact in artifacts:
            assert artifact["url"].startswith(debian[0].as_uri())
            assert local(artifact["url"]).exists()
            if "sha256" in artifact:
                assert hashlib.sha256(local(artifact["url"]).read_bytes()).hexdigest() == artifact["sha256"]

    def test_an_address_keeps_its_host_and_path_below_the_base_url(self, workplace: Path) -> None:
        out = workplace / "out"
        made = builder.build(out, DOCUMENT, None, ["debian12"], ["x86_64"], ["nccl"], base_url="http://127.0.0.1:8000")
        assert (
            source(made, "nccl", "files")["file"]["url"] == "http://127.0.0.1:8000/code.example/nccl/v2.30.7-1.tar.gz"
        )
        assert support.files_under(out) == {"code.example/nccl/v2.30.7-1.tar.gz", builder.OVERRIDES}

    def test_systems_that_nobody_asked_for_are_not_there(self, debian: Built) -> None:
        driver = debian[1]["components"]["nvidia_driver"]["versions"]["580.173.02"]["repositories"]
        assert [one["os"] for one in driver] == [["debian12"]]
        assert [one["arch"] for one in driver] == [[platform.machine()]]

    def test_one_signer_has_one_key_and_another_another(self, debian: Built) -> None:
        keys = {name: source(debian[1], name)["key"]["signer"] for name in ("docker", "nvidia_driver")}
        assert keys["docker"] == keys["nvidia_driver"]
        assert source(debian[1], "efa", "files")["file"]["key"]["signer"] != keys["docker"]


def every_artifact(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every map with an address."""
    if isinstance(tree, Mapping):
        if "url" in tree:
            yield tree
        for inner in tree.values():
            yield from every_artifact(inner)
    elif isinstance(tree, list):
        for inner in tree:
            yield from every_artifact(inner)


class TestNobodyTakesThemForReal:
    def test_every_file_that_is_served_says_stand_in(self, debian: Built) -> None:
        silent = [path for path in debian[0].rglob("*") if path.is_file() and not says(path)]
        assert [path.name for path in silent] == []

    def test_every_package_says_it(self, debian: Built) -> None:
        packages = list(debian[0].rglob("*.deb"))
        assert len(packages) > 10
        for package in packages:
            assert "stand-in" in check("dpkg-deb", "--field", package, "Description")
            assert "/STAND-IN" in check("dpkg-deb", "--contents", package)

    def test_a_run_file_installs_nothing_and_says_why(self, debian: Built) -> None:
        ran = subprocess.run(
            ["sh", local(source(debian[1], "nvidia_run", "files")["file"]["url"])],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 1
        assert "a stand-in installs nothing" in ran.stderr

    def test_keys_differ_from_run_to_run(self, debian: Built, workplace: Path) -> None:
        again = builder.build(
            workplace / "out", DOCUMENT, None, ["debian12"], ["x86_64"], ["efa"], base_url="http://127.0.0.1"
        )
        first, second = (source(made, "efa", "files")["file"]["key"]["signer"] for made in (debian[1], again))
        assert first != second

    def test_no_private_key_stays_behind(self, debian: Built) -> None:
        held = [path for path in debian[0].rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
        assert held == []
        with Keyring() as keys:
            keys.key("somebody")
            assert list(keys.home.glob("private-keys-v1.d/*"))
        assert not keys.home.exists()

    def test_no_key_is_part_of_the_project(self) -> None:
        marks = (b"-----BEGIN PGP " + b"PRIVATE KEY", b"-----BEGIN PGP " + b"PUBLIC KEY")
        ours = [name for name in support.project_files() if not name.startswith("tests/recorded/")]
        texts = {name: (support.ROOT / name).read_bytes() for name in ours}
        assert [name for name, text in texts.items() if marks[0] in text] == []
        assert [name for name, text in texts.items() if marks[1] in text and name.startswith("tests/stand_ins/")] == []


def says(path: Path) -> bool:
    """A file that names itself a stand-in, where a reader looks first; signatures cannot."""
    data = path.read_bytes()
    if path.name.endswith(".deb"):
        return "stand-in" in check("dpkg-deb", "--field", path, "Description")
    if path.name.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            readme = next(member for member in archive.getmembers() if member.name.endswith("/README"))
            held = archive.extractfile(readme)
            return held is not None and b"stand-in" in held.read()
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive_:
            return b"stand-in" in archive_.read("README")
    if path.name.endswith(".gz"):
        return says(path.with_suffix(""))
    if path.name.endswith((".pub", ".key")):
        return "stand-in" in check("gpg", "--batch", "--show-keys", path)
    return path.name.endswith((".sig", ".gpg")) or b"stand-in" in data


class TestRefusals:
    def build(self, out: Path, changed: Mapping[str, Any] = DOCUMENT, **more: Any) -> None:
        given = {"systems": ["debian12"], "architectures": ["x86_64"], "base_url": "http://127.0.0.1:1", **more}
        builder.build(out, changed, None, **given)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"systems": ["debian11"]}, "OS 'debian11' is not in the catalogue; fix: did you mean debian1"),
            ({"architectures": ["arm64"]}, "architecture 'arm64' is not in the catalogue"),
            ({"components": ["ncl"]}, "no component 'ncl' on debian12 x86_64; fix: did you mean nccl"),
            ({"base_url": "http://mirror.example"}, "'http://mirror.example' is not of this machine"),
        ],
    )
    def test_what_the_catalogue_does_not_have_is_refused(
        self, workplace: Path, given: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(TrainingError, match=said):
            self.build(workplace / "out", **given)
        assert not (workplace / "out").exists()

    def test_a_folder_that_holds_something_is_left_alone(self, workplace: Path) -> None:
        (workplace / "mine").write_text("x")
        with pytest.raises(TrainingError, match=r"is not an empty folder; fix: name a new one"):
            self.build(workplace)
        assert support.files_under(workplace) == {"mine"}

    def test_a_missing_tool_is_named_with_its_package(self, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "which", lambda name: None if name.startswith(("rpm", "create")) else name)
        with pytest.raises(
            TrainingError, match=r"^rpmbuild, rpmsign, createrepo_c are missing; fix: apt-get install createrepo-c rpm$"
        ):
            self.build(workplace / "out", systems=["amazon2023"])
        assert not (workplace / "out").exists()

    def test_one_source_for_both_kinds_of_packages_is_refused(self, workplace: Path) -> None:
        mixed = document(both=("1", of(repository("https://both.example", {"a": "1-1"}))))
        with pytest.raises(TrainingError, match=r"would hold \.deb and \.rpm packages"):
            self.build(workplace / "out", mixed, systems=["debian12", "amazon2023"])

    def test_a_package_whose_name_tells_nothing_is_refused(self, workplace: Path) -> None:
        with pytest.raises(TrainingError, match=r"nameless.deb does not tell its package"):
            self.build(workplace / "out", document(a=("1", of(download("https://a.example/nameless.deb")))))

    def test_the_command_says_it_in_one_line(self, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([f"--out={workplace / 'out'}", "--os=debian12", "--arch=x86_64", "--components=no"]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("place", "folder"),
    [
        ("github.com/NVIDIA/nccl/archive/refs/tags/v2.30.7-1.tar.gz", "nccl-2.30.7-1"),
        ("github.com/amzn/amzn-drivers/archive/refs/tags/efa_linux_3.1.0.tar.gz", "amzn-drivers-efa_linux_3.1.0"),
        ("download.example/slurm/slurm-25.11.8.tar.bz2", "slurm-25.11.8"),
        ("download.example/node_exporter-1.12.1.linux-amd64.tar.xz", "node_exporter-1.12.1.linux-amd64"),
    ],
)
def test_a_source_unpacks_into_the_folder_that_the_real_one_has(place: str, folder: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(plain.stand_in(place))) as archive:
        names = archive.getnames()
    assert names[0] == folder
    assert f"{folder}/README" in names
    assert all(name.startswith(f"{folder}/") for name in names[1:])


@pytest.mark.parametrize(
    ("stated", "kind", "expected"),
    [
        ("580.173.02-1", "deb", "580.173.02-1"),
        ("2.35.30.0*", "deb", "2.35.30.0+standin"),
        ("2.35.30.0-*", "deb", "2.35.30.0-0.standin"),
        ("1:4.7.0-1.amzn2023", "rpm", "1:4.7.0-1.amzn2023"),
        ("2.2.7", "rpm", "2.2.7-0.standin"),
        ("2.2.7*", "rpm", "2.2.7-0.standin"),
        ("2.2.7-*", "rpm", "2.2.7-0.standin"),
        ("580.*", "rpm", "580.0-0.standin"),
    ],
)
def test_a_stated_start_of_a_version_is_filled_with_a_word_that_tells(stated: str, kind: str, expected: str) -> None:
    assert made_version(stated, kind) == expected


@pytest.mark.parametrize("stack", sorted(controller.read_catalogue("stack")["stacks"]))
def test_every_origin_of_a_shipped_stack_has_a_stand_in(stack: str, workplace: Path) -> None:
    needs_rpm_tools()
    shipped = controller.read_catalogue("stack")
    out = workplace / "out"
    made = builder.build(out, shipped, stack, catalogue.SYSTEMS, catalogue.ARCHITECTURES, base_url=out.as_uri())
    whole = catalogue.overridden(shipped, made, controller.schema("stack"))
    served = set()
    for system, arch in itertools.product(catalogue.SYSTEMS, catalogue.ARCHITECTURES):
        for name in catalogue.chosen(shipped, stack, system, arch):
            entry = catalogue.on_platform(catalogue.component(whole, name, stack, system), system, arch)
            for artifact in every_artifact({kind: entry.get(kind) for kind in ("files", "repositories")}):
                assert local(artifact["url"]).exists(), f"{name} on {system} {arch}"
                assert artifact["url"].startswith(out.as_uri())
                served.add(name)
    assert {"nvidia_driver", "efa", "nccl", "docker", "nvidia_container_toolkit"} <= served


def test_a_component_without_an_origin_needs_no_stand_in(workplace: Path) -> None:
    python = {"package": "torch", "locked_in": "somewhere"}
    only = document(torch=("2.13.0", {"fact_source": "a test", "python": python}))
    made = builder.build(workplace / "out", only, None, ["debian12"], ["x86_64"], base_url="http://127.0.0.1")
    assert made == {"components": {}}
    assert support.files_under(workplace / "out") == {builder.OVERRIDES}


def test_an_image_of_unknown_digest_gets_one_that_follows_from_its_address(workplace: Path) -> None:
    images = [{"image": {"url": f"docker://registry.example/{name}:1", **UNKNOWN}} for name in ("one", "two")]
    only = document(exporter=("1", {"fact_source": "a test", "images": images}))
    made = builder.build(workplace / "out", only, None, ["debian12"], ["x86_64"], base_url="http://127.0.0.1")
    found = [source["image"] for source in made["components"]["exporter"]["versions"]["1"]["images"]]
    assert [image["url"] for image in found] == [source["image"]["url"] for source in images]
    assert len({image["sha256"] for image in found}) == 2
    assert all(image["verified_from"] == builder.VERIFIED_FROM and "unverified" not in image for image in found)
    assert "unverified" in images[0]["image"]


def test_the_document_is_left_as_it_was(workplace: Path) -> None:
    before = copy.deepcopy(DOCUMENT)
    builder.build(workplace / "out", DOCUMENT, None, ["debian12"], ["x86_64"], base_url="http://127.0.0.1")
    assert before == DOCUMENT
