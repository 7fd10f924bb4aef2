"""Playbook mirror on this machine: what it fetches, refuses, signs and goes on with. Stand-ins are its origins."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, repository_apt
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.mirror.origins import Keys, Origin, origin
from ansible_collections.awsome.distributed_training.tests.mirror.repositories import flipped
from ansible_collections.awsome.distributed_training.tests.stand_ins import builder
from moto.server import ThreadedMotoServer

PLAYBOOK = f"{support.COLLECTION}.mirror"
COMPONENTS = ("efa", "node_exporter", "nvidia_container_toolkit", "nvidia_fabricmanager")
TOOLKIT = "nvidia.github.io/libnvidia-container/stable/deb/amd64"
EFA = "efa-installer.amazonaws.com/aws-efa-installer-1.50.0.tar.gz"


@pytest.fixture(scope="module")
def stand_ins(make_workplace: Callable[[str], Path]) -> Path:
    """Stand-ins of some components for Debian 12, as files whose addresses start with ORIGIN."""
    folder = make_workplace("mirror-stand-ins") / "served"
    document = controller.read_stack()
    builder.build(folder, document, None, ["debian12"], ["x86_64"], COMPONENTS, base_url="http://127.0.0.1:1")
    return folder


class Mirror:
    """A folder in which a user runs the playbook, and the origin that it fetches from."""

    def __init__(self, folder: Path, served: Origin, stand_ins: Path, keys: Keys, signer: str) -> None:
        self.folder, self.served, self.keys, self.signer = folder, served, keys, signer
        served.serve_folder(stand_ins)
        text = served.files[builder.OVERRIDES].decode().replace("http://127.0.0.1:1/", f"{served.address}/")
        self.overrides: dict[str, Any] = yaml.safe_load(text)
        self.host = served.address[7:].replace(":", "_")

    def run(self, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        given = {
            "os": ["debian12"],
            "components": list(COMPONENTS),
            "mirror_signer": self.signer,
            "stack_overrides": self.overrides,
            **variables,
        }
        path = self.folder / "variables.json"
        path.write_text(json.dumps({name: value for name, value in given.items() if value is not None}))
        environment: dict[str, str | None] = {"GNUPGHOME": str(self.keys.home), "ANSIBLE_LOCALHOST_WARNING": "false"}
        environment["ANSIBLE_INVENTORY_UNPARSED_WARNING"] = "false"
        self.served.asked.clear()
        return support.play(["-e", f"@{path}", *words], self.folder, environment, playbook=PLAYBOOK)

    def path(self, place: str) -> Path:
        """Where the mirror keeps what an origin serves."""
        return self.folder / "mirror" / self.host / place

    def got(self) -> list[str]:
        """What was downloaded of the origin, without indexes, keys and signatures."""
        names = [line.partition(" ")[2] for line in self.served.asked if line.startswith("GET ")]
        return [name for name in names if name.split(" ")[0].endswith((".deb", ".tar.gz"))]


@pytest.fixture
def mirror(workplace: Path, stand_ins: Path, keys: Keys, operator: str) -> Iterator[Mirror]:
    with origin() as served:
        yield Mirror(workplace, served, stand_ins, keys, operator)


def message(ran: subprocess.CompletedProcess[str]) -> str:
    """The one line of a play that was refused."""
    assert ran.returncode != 0
    assert "Traceback" not in ran.stdout
    found = [line for line in ran.stdout.splitlines() if line.startswith("fatal:")]
    answer: dict[str, Any] = json.loads(found[0].partition("=> ")[2])
    said = str(answer["msg"])
    assert "\n" not in said
    assert "; fix: " in said
    return said


def files(folder: Path) -> set[str]:
    return support.files_under(folder) if folder.exists() else set()


def test_check_mode_shows_the_plan_of_sizes_and_writes_nothing(mirror: Mirror) -> None:
    ran = mirror.run("--check", mirror_signer=None)
    assert ran.returncode == 0, ran.stdout
    for component in COMPONENTS:
        assert f"\n  {component} " in ran.stdout
    size = len(mirror.served.files[EFA]) / 1024
    assert f"  efa                       1.50.0          1  {size:.1f} KiB" in ran.stdout
    assert "; stack_overrides took part" in ran.stdout
    assert "to fetch: 7 files, " in ran.stdout
    assert not (mirror.folder / "mirror").exists()
    assert mirror.got() == []


def test_what_is_written_is_brought_to_s3_too(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        bucket = boto3.resource("s3").create_bucket(Bucket="our-mirror")
        ran = mirror.run(mirror_s3="s3://our-mirror/a")
        assert ran.returncode == 0, ran.stdout
        written = files(mirror.folder / "mirror")
        assert {entry.key for entry in bucket.objects.all()} == {f"a/{path}" for path in written}
        assert f"uploaded {len(written)} files to s3://our-mirror/a" in ran.stdout
        again = mirror.run(mirror_s3="s3://our-mirror/a")
        assert "uploaded 0 files" in again.stdout
        assert "changed=0" in again.stdout
    finally:
        server.stop()


def test_a_bucket_that_is_none_is_refused_before_anything_is_fetched(mirror: Mirror) -> None:
    assert "mirror_s3='our-mirror' is no address of a bucket" in message(mirror.run(mirror_s3="our-mirror"))
    assert mirror.served.asked == []


def test_a_second_run_fetches_nothing_and_changes_nothing(mirror: Mirror) -> None:
    first = mirror.run()
    assert first.returncode == 0, first.stdout
    assert "fetched 7 of 7 files" in first.stdout
    assert len(mirror.got()) == 7
    before = {path: path.stat().st_mtime_ns for path in (mirror.folder / "mirror").rglob("*") if path.is_file()}
    second = mirror.run()
    assert second.returncode == 0, second.stdout
    assert "fetched 0 of 7 files" in second.stdout
    assert "changed=0" in second.stdout
    assert mirror.got() == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_mirror_has_what_was_verified_and_says_so(mirror: Mirror) -> None:
    assert mirror.run().returncode == 0
    record = json.loads((mirror.folder / "mirror/mirror.json").read_text())
    assert record["signer"] == mirror.signer
    assert record["runs"][0]["overridden"] is True
    by_name = {Path(one["path"]).name: one for one in record["files"]}
    assert len(record["files"]) == 7
    assert by_name["aws-efa-installer-1.50.0.tar.gz"]["verified"] in ("digest", "signature")
    toolkit = by_name["nvidia-container-toolkit_1.20.1-1_amd64.deb"]
    stated = mirror.overrides["components"]["nvidia_container_toolkit"]["versions"]["1.20.1"]["repositories"][0]
    assert (toolkit["verified"], toolkit["signer"]) == ("signed index", stated["base"]["signer"])
    assert by_name["node_exporter-1.12.1.linux-amd64.tar.gz"]["verified"] == "digest"
    for one in record["files"]:
        assert (mirror.folder / "mirror" / one["path"]).stat().st_size == one["size"]


def test_its_indexes_are_signed_by_the_users_key_alone(mirror: Mirror) -> None:
    assert mirror.run().returncode == 0
    signed = mirror.path(f"{TOOLKIT}/InRelease").read_bytes()
    vendors = mirror.served.files[f"{TOOLKIT}/InRelease"]
    assert signed != vendors
    checked = subprocess.run(
        ["gpg", "--homedir", mirror.keys.home, "--status-fd", "1", "--decrypt"],
        input=signed,
        capture_output=True,
        check=True,
    )
    assert f"VALIDSIG {mirror.signer}".encode() in checked.stdout
    packages = repository_apt.read_packages(mirror.path(f"{TOOLKIT}/Packages").read_text(), "https://v.example")
    assert {one.name for one in packages} == {
        "libnvidia-container-tools",
        "libnvidia-container1",
        "nvidia-container-toolkit",
        "nvidia-container-toolkit-base",
    }


def test_a_repository_has_the_stacks_packages_and_what_they_need_and_no_others(mirror: Mirror) -> None:
    only = {"nvidia-container-toolkit": "1.20.1-1"}
    source = mirror.overrides["components"]["nvidia_container_toolkit"]["versions"]["1.20.1"]["repositories"][0]
    source["packages"] = only  # the other three are what it needs
    assert mirror.run(components=["nvidia_container_toolkit"]).returncode == 0
    text = mirror.path(f"{TOOLKIT}/Packages").read_text()
    assert text.count("Package: ") == 4
    source["packages"] = {"libnvidia-container1": "1.20.1-1"}
    shutil.rmtree(mirror.folder / "mirror")
    assert mirror.run(components=["nvidia_container_toolkit"]).returncode == 0
    assert mirror.path(f"{TOOLKIT}/Packages").read_text().count("Package: ") == 1


def test_what_is_missing_or_changed_in_the_folder_is_fetched_again(mirror: Mirror) -> None:
    assert mirror.run().returncode == 0
    deb = mirror.path(f"{TOOLKIT}/libnvidia-container1_1.20.1-1_amd64.deb")
    whole = deb.read_bytes()
    deb.write_bytes(flipped(whole, 100))
    mirror.path(EFA).unlink()
    ran = mirror.run()
    assert ran.returncode == 0, ran.stdout
    assert "fetched 2 of 7 files" in ran.stdout
    assert sorted(mirror.got()) == [EFA, f"{TOOLKIT}/libnvidia-container1_1.20.1-1_amd64.deb"]
    assert deb.read_bytes() == whole


def test_a_run_that_was_stopped_is_gone_on_with(mirror: Mirror) -> None:
    mirror.served.ranges, mirror.served.cuts[EFA] = False, 3000
    assert f"{EFA} is cut short: 3000 of " in message(mirror.run())
    assert not mirror.path(EFA).exists()
    assert not (mirror.folder / "mirror/mirror.json").exists()
    mirror.served.ranges, mirror.served.cuts = True, {}
    ran = mirror.run()
    assert ran.returncode == 0, ran.stdout
    assert f"{EFA} from 3000" in mirror.got()
    assert mirror.path(EFA).read_bytes() == mirror.served.files[EFA]
    assert not list((mirror.folder / "mirror").glob(".partial*"))


def test_a_further_run_adds_to_what_is_there(mirror: Mirror) -> None:
    assert mirror.run(components=["nvidia_container_toolkit"]).returncode == 0
    assert mirror.run(components=["nvidia_fabricmanager"]).returncode == 0
    record = json.loads((mirror.folder / "mirror/mirror.json").read_text())
    assert {one["component"] for one in record["files"]} == {"nvidia_container_toolkit", "nvidia_fabricmanager"}
    assert [run["components"] for run in record["runs"]] == [["nvidia_container_toolkit"], ["nvidia_fabricmanager"]]
    source = mirror.overrides["components"]["nvidia_container_toolkit"]["versions"]["1.20.1"]["repositories"][0]
    source["packages"] = {"libnvidia-container1": "1.20.1-1"}
    assert mirror.run(components=["nvidia_container_toolkit"]).returncode == 0
    assert mirror.path(f"{TOOLKIT}/Packages").read_text().count("Package: ") == 4


def test_a_package_that_differs_from_the_vendors_index_is_refused(mirror: Mirror) -> None:
    place = f"{TOOLKIT}/nvidia-container-toolkit_1.20.1-1_amd64.deb"
    mirror.served.files[place] = flipped(mirror.served.files[place], 200)
    assert f"{place} has sha256 " in message(mirror.run())
    assert not mirror.path(place).exists()
    assert not mirror.path(f"{TOOLKIT}/InRelease").exists()


def test_an_index_that_its_vendor_did_not_sign_is_refused_before_anything_is_fetched(
    mirror: Mirror, stranger: str
) -> None:
    place = f"{TOOLKIT}/InRelease"
    mirror.served.files[place] = mirror.keys.clear_sign(stranger, mirror.served.files[f"{TOOLKIT}/Release"])
    assert f"{place}: it is signed by {stranger[-16:]}, and not by the pinned signer" in message(mirror.run())
    assert files(mirror.folder / "mirror") == set()


def test_a_file_that_is_missing_is_refused_before_anything_is_fetched(mirror: Mirror) -> None:
    del mirror.served.files[EFA]
    assert message(mirror.run()).startswith(f"{mirror.served.url(EFA)}: 404 Not Found; fix: ")
    assert files(mirror.folder / "mirror") == set()


def test_a_folder_that_another_key_signed_is_left_alone(mirror: Mirror, stranger: str) -> None:
    assert mirror.run(components=["node_exporter"]).returncode == 0
    before = files(mirror.folder / "mirror")
    said = message(mirror.run(mirror_signer=stranger))
    assert f"is signed by {mirror.signer}, and mirror_signer is {stranger}; fix: sign with that key" in said
    assert files(mirror.folder / "mirror") == before


def test_what_is_unverified_is_named_and_refused_where_it_was_asked_for(mirror: Mirror) -> None:
    version = mirror.overrides["components"]["node_exporter"]["versions"]["1.12.1"]
    url = version["files"][0]["file"]["url"]
    version["files"][0]["file"] = {"url": url, "unverified": "a test does not know"}
    assert message(mirror.run(components=["node_exporter"])).startswith(
        f"{url} is unverified (a test does not know); fix: state its sha256"
    )


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"os": None}, "os is not given; fix: -e os=NAME"),
        ({"os": "debian11"}, "os=debian11 is not known; fix: did you mean debian1"),
        ({"arch": "arm64"}, "arch=arm64 is not known; fix: "),
        ({"stack": "long"}, "stack 'long' is not in the catalogue; fix: did you mean long_term?"),
        (
            {"components": ["nvidia_driwer"]},
            "component 'nvidia_driwer' is not in the catalogue; fix: did you mean nvidia_d",
        ),
        ({"mirror_signer": None}, "mirror_signer='' is no fingerprint of a key; fix: the 40 digits"),
        ({"mirror_signer": "A" * 40}, f"mirror_signer={'A' * 40}: your GnuPG has no such secret key; fix: "),
        ({"miror_dir": "x"}, "variable 'miror_dir' is not known; fix: did you mean mirror_dir?"),
        ({"components": ["torch"]}, "there is nothing to mirror (torch: its Python packages"),
    ],
)
def test_bad_input_is_refused_in_one_line(variables: dict[str, Any], says: str, mirror: Mirror) -> None:
    assert message(mirror.run(**variables)).startswith(says)
    assert files(mirror.folder / "mirror") == set()
