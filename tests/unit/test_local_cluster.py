# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A cluster of containers: what a user may ask for, and the steps from what is there to what shall be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.local_cluster import (
    FOLDER,
    LABEL,
    SPECIFICATION,
    Container,
    Desired,
    Existing,
    address,
    free_subnet,
    pip_conf,
    pip_folders,
    pip_settings,
    read_existing,
    read_request,
    routes,
    specification,
    steps_to_absent,
    steps_to_present,
    stray_groups,
)

SUBNET = "172.30.0.0/24"
DESIRED = Desired(
    name="dev",
    folder="/srv/clusters/dev",
    image="adt-dev:1",
    cgroup_version="1",
    authorized_key="ssh-ed25519 AAAA",
    mtu=1400,
    subnet=SUBNET,
    mounts=("/wheels:/wheels:ro",),
    files={"etc/pip.conf": "[global]\n"},
)


def container(hostname: str, desired: Desired = DESIRED, running: bool = True) -> Container:
    """One that was made as ``desired`` says."""
    return Container(f"id-of-{hostname}", hostname, running, specification(desired, SUBNET, hostname))


def complete(*hostnames: str) -> Existing:
    """A cluster that runs."""
    return Existing(SUBNET, True, tuple(container(name) for name in hostnames), ("adt-dev:1",), DESIRED.folder)


def says(desired: Desired, existing: Existing) -> list[str]:
    return [step.says for step in steps_to_present(desired, existing)]


def test_a_request_has_every_variable_in_its_type() -> None:
    assert read_request({"nodes": "3"}, ["nodes", "adt_x", "ansible_user"]) == {
        "cluster": "local",
        "nodes": 3,
        "state": "present",
        "process_tracking": "linuxproc",
        "gpus": 0,
    }


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        ({}, ["node"], "variable 'node' is not known; fix: did you mean nodes?"),
        ({}, ["name"], "variable 'name' is not known; fix: -e cluster=NAME"),
        ({"nodes": "0"}, [], "-e: nodes=0 is under its minimum 1; fix: nodes=1"),
        ({"nodes": "two"}, [], "-e: nodes='two' is not a whole number; fix: "),
        ({"state": "abset"}, [], "-e: state='abset' is not one of its choices; fix: did you mean absent?"),
        ({"cluster": "A b"}, [], "cluster='A b' is no name for a cluster; fix: "),
        ({"cluster": "../x"}, [], "cluster='../x' is no name for a cluster; fix: "),
    ],
)
def test_a_slip_is_one_line_with_value_and_fix(given: dict[str, Any], names: list[str], message: str) -> None:
    with pytest.raises(TrainingError) as refused:
        read_request(given, names)
    assert str(refused.value).startswith(message)


def test_nothing_becomes_a_cluster_of_two_nodes_in_an_order_that_docker_can_follow() -> None:
    assert says(DESIRED, Existing()) == [
        "make network adt-dev 172.30.0.0/24",
        "make volume adt-dev-fsx",
        "make container adt-dev-ctl",
        "start container adt-dev-ctl",
        "make container adt-dev-c1",
        "start container adt-dev-c1",
        "make container adt-dev-c2",
        "start container adt-dev-c2",
    ]


def test_whatever_is_made_bears_the_clusters_label() -> None:
    made = [step.words for step in steps_to_present(DESIRED, Existing()) if step.says.startswith("make")]
    assert len(made) == 5
    assert all(f"--label={LABEL}=dev" in words for words in made)


def test_a_container_gets_name_address_mounts_and_files() -> None:
    step = next(step for step in steps_to_present(DESIRED, Existing()) if step.says == "make container adt-dev-c2")
    wanted = {"--hostname=c2", "--ip=172.30.0.12", "--volume=adt-dev-fsx:/fsx", "--volume=/wheels:/wheels:ro"}
    assert wanted <= set(step.words)
    assert step.words[-1] == "adt-dev:1"
    assert step.files == DESIRED.files


def test_a_cluster_that_is_as_it_shall_be_needs_no_step() -> None:
    assert says(DESIRED, complete("ctl", "c1", "c2")) == []


def test_without_a_number_a_cluster_keeps_its_nodes() -> None:
    assert says(DESIRED, complete("ctl", "c1", "c2", "c3")) == []


def test_a_third_node_leaves_the_others_alone() -> None:
    steps = says(replace(DESIRED, nodes=3), complete("ctl", "c1", "c2"))
    assert steps == ["make container adt-dev-c3", "start container adt-dev-c3"]


def test_fewer_nodes_remove_the_last_ones() -> None:
    assert says(replace(DESIRED, nodes=1), complete("ctl", "c1", "c2", "c3")) == [
        "remove container adt-dev-c2",
        "remove container adt-dev-c3",
    ]


def test_a_container_that_stopped_is_started() -> None:
    existing = replace(complete("ctl"), containers=(container("ctl"), container("c1", running=False)))
    assert says(DESIRED, existing) == ["start container adt-dev-c1"]


@pytest.mark.parametrize(
    "changed", [{"image": "adt-dev:2"}, {"authorized_key": "ssh-ed25519 BBBB"}], ids=["image", "key"]
)
def test_another_image_or_key_makes_the_containers_again(changed: dict[str, Any]) -> None:
    assert says(replace(DESIRED, **changed), complete("ctl", "c1"))[:3] == [
        "remove container adt-dev-ctl",
        "make container adt-dev-ctl",
        "start container adt-dev-ctl",
    ]


def test_a_package_source_that_went_makes_nothing_again() -> None:
    assert says(replace(DESIRED, mounts=(), files={}), complete("ctl", "c1")) == []


def test_a_cluster_whose_keys_lie_elsewhere_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"'dev' is there, and its keys lie in /srv/clusters/dev; fix: "):
        steps_to_present(replace(DESIRED, folder="/else/clusters/dev"), complete("ctl", "c1"))


def test_absent_removes_all_and_only_what_is_there() -> None:
    assert [step.says for step in steps_to_absent("dev", complete("ctl", "c1"))] == [
        "remove container adt-dev-ctl",
        "remove container adt-dev-c1",
        "remove network adt-dev",
        "remove volume adt-dev-fsx and all that is in /fsx",
        "remove image adt-dev:1",
    ]
    assert steps_to_absent("dev", Existing()) == []


def inspected(hostname: str, specification: str = "") -> dict[str, Any]:
    labels = {LABEL: "dev", FOLDER: "/f", SPECIFICATION: specification}
    return {"Id": hostname, "Config": {"Hostname": hostname, "Labels": labels}, "State": {"Running": True}}


def test_what_docker_shows_is_read_with_the_controller_first_and_nodes_by_number() -> None:
    network = {"IPAM": {"Config": [{"Subnet": SUBNET}]}, "Labels": {LABEL: "dev", FOLDER: "/f"}}
    names = ["c10", "c2", "ctl", "c1"]
    found = read_existing("dev", [network], [{"Name": "adt-dev-fsx"}], [inspected(name) for name in names], ["i"])
    assert [item.hostname for item in found.containers] == ["ctl", "c1", "c2", "c10"]
    assert (found.subnet, found.volume, found.images, found.folder) == (SUBNET, True, ("i",), "/f")


def test_the_folder_is_known_without_the_network() -> None:
    assert read_existing("dev", [], [], [inspected("c1")], []).folder == "/f"


def test_addresses_do_not_meet_each_other_or_the_gateway() -> None:
    found = [address(SUBNET, name) for name in ("ctl", "c1", "c64")]
    assert found == ["172.30.0.2", "172.30.0.11", "172.30.0.74"]


def test_a_subnet_overlaps_nothing_that_is_taken() -> None:
    assert free_subnet(["10.0.0.0/8", "fd00::/64"]) == "172.30.0.0/24"
    assert free_subnet(["172.30.0.0/23", "172.30.2.128/25"]) == "172.30.3.0/24"
    assert free_subnet(["172.16.0.0/12"]) == "10.213.0.0/24"
    with pytest.raises(TrainingError, match=r"^no /24 .* is free; fix: "):
        free_subnet(["172.16.0.0/12", "10.0.0.0/8"])


def test_routes_are_read_from_the_kernels_table() -> None:
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    assert routes(table) == [("eth0", "0.0.0.0/0.0.0.0"), ("docker0", "172.17.0.0/255.255.0.0")]


PIP_LISTING = """\
:env:.cert='/etc/ca.crt'
:env:.find-links='/opt/wheels https://wheels.example/x'
global.find-links='/old'
global.index-url='https://mirror.example/simple'
global.index-url.odd='x'
list.format='json'
"""


def test_pips_sources_are_taken_over_and_nothing_else() -> None:
    settings = pip_settings(PIP_LISTING)
    assert settings == {
        "find-links": "/opt/wheels https://wheels.example/x",
        "index-url": "https://mirror.example/simple",
    }
    assert pip_folders(settings) == ["/opt/wheels"]


def test_a_pip_conf_is_written_only_where_there_is_something_to_say() -> None:
    assert pip_conf({}, None) == ""
    assert pip_conf({"find-links": "/a\n/b"}, "/ca.crt") == "[global]\nfind-links = /a /b\ncert = /ca.crt\n"


GROUPS = [
    "/sys/fs/cgroup/memory",
    "/sys/fs/cgroup/memory/docker",
    "/sys/fs/cgroup/memory/docker/id-of-c1",
    "/sys/fs/cgroup/memory/docker/id-of-c1/system.slice",
    "/sys/fs/cgroup/memory/docker/another",
    "/sys/fs/cgroup/memory/slurm_c1",
    "/sys/fs/cgroup/memory/slurm_c1/system",
    "/sys/fs/cgroup/memory/slurm_c10",
    "/sys/fs/cgroup/system.slice/docker-id-of-c1.scope",
]


def test_stray_groups_are_those_of_the_clusters_containers_the_deepest_first() -> None:
    assert stray_groups(GROUPS, complete("ctl", "c1")) == [
        "/sys/fs/cgroup/memory/docker/id-of-c1/system.slice",
        "/sys/fs/cgroup/memory/docker/id-of-c1",
        "/sys/fs/cgroup/memory/slurm_c1/system",
        "/sys/fs/cgroup/memory/slurm_c1",
        "/sys/fs/cgroup/system.slice/docker-id-of-c1.scope",
    ]


def test_a_group_that_another_cluster_may_use_is_no_stray() -> None:
    assert not [group for group in stray_groups(GROUPS, complete("c1"), ["c1"]) if "slurm" in group]
