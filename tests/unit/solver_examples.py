# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Sets written in one line, and two for every rule: one that it objects to, and its neighbour that is well.

``nvidia_driver=580.173.02 @type=p5.48xlarge %modules=open $NCCL_NET_PLUGIN=ofi ^slurm=24.05.1``: components, then the
platform (@), settings (%), the job's environment ($), and what runs now (^). $- is an environment that is known to be
empty.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility import Finding, judge
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import (
    Platform,
    checked,
)

CONSTRAINTS = controller.read_catalogue("constraints")
TYPES = controller.read_catalogue("instance_types")


def read(words: str) -> tuple[dict[str, str], Platform]:
    """Versions and platform of one line."""
    versions: dict[str, str] = {}
    about: dict[str, Any] = {"os": "ubuntu2204", "arch": "x86_64"}
    settings: dict[str, str] = {}
    running: dict[str, str] = {}
    environment: dict[str, str] | None = None
    for word in words.split():
        name, _, value = word.lstrip("@%$^").partition("=")
        if word == "$-":
            environment = {}
        elif word[0] == "@":
            about["instance_type" if name == "type" else name] = value
        elif word[0] == "%":
            settings[name] = value
        elif word[0] == "$":
            environment = {**(environment or {}), name: value}
        elif word[0] == "^":
            running[name] = value
        else:
            versions[name] = value
    platform = Platform(**about, settings=settings, environment=environment, running=running)
    return versions, checked(platform, CONSTRAINTS, TYPES)


def judged(words: str) -> list[Finding]:
    """What the rules say about the set of one line."""
    versions, platform = read(words)
    return judge(versions, platform, CONSTRAINTS, TYPES)


def verdicts(words: str, rule: str) -> set[str]:
    """What one rule says about it."""
    return {finding.verdict for finding in judged(words) if finding.rule == rule}


_EXAMPLES = """
R01 refuse
  nvidia_driver=580.126.09 nvidia_fabricmanager=590.48.01
  nvidia_driver=590.48.01 nvidia_fabricmanager=590.48.01
R02 refuse
  nvidia_driver=580.173.02 nvidia_imex=580.159.03
  nvidia_driver=580.173.02 nvidia_imex=580.173.02
R03 refuse
  nvidia_driver=580.173.02 nvidia_libraries=580.178.04
  nvidia_driver=580.178.04 nvidia_libraries=580.178.04
R04 refuse
  nvidia_driver=580.173.02 @type=p5.48xlarge
  nvidia_driver=580.173.02 @type=g7e.48xlarge
R05 refuse
  nvidia_driver=580.173.02 @type=p6-b200.48xlarge
  nvidia_driver=580.173.02 nvlsm=2025.10.14 @type=p6-b200.48xlarge
R08 refuse
  nvidia_driver=580.173.02 @type=p3.16xlarge %modules=open
  nvidia_driver=580.173.02 @type=p3.16xlarge %modules=proprietary
R09 refuse
  nvidia_driver=580.173.02 @type=p6-b200.48xlarge %modules=proprietary
  nvidia_driver=580.173.02 @type=p5.48xlarge %modules=proprietary
R11 refuse
  nvidia_driver=550.163.01 @type=p5en.48xlarge %modules=open
  nvidia_driver=550.163.01 @type=p5.48xlarge %modules=open
R12 refuse
  nvidia_driver=580.178.04 @type=g7.2xlarge
  nvidia_driver=595.91.07 @type=g7.2xlarge
R13 refuse
  nvidia_driver=590.48.01 @type=p3.16xlarge
  nvidia_driver=580.178.04 @type=p3.16xlarge
R14 warn
  nvidia_driver=595.91.07 efa=1.50.0 @model=GB200 @arch=aarch64
  nvidia_driver=580.178.04 efa=1.50.0 @model=GB200 @arch=aarch64
R15 refuse
  nvidia_driver=575.64.05 @model=GB200 %cluster=eks %coherent_memory=driver
  nvidia_driver=575.64.05 @model=GB200 %cluster=slurm %coherent_memory=driver
R16 warn
  nvidia_driver=610.57.04
  nvidia_driver=595.91.07
R17 warn
  nvidia_driver=580.173.02 @type=g5g.xlarge @arch=aarch64 %cluster=eks %modules=open
  nvidia_driver=580.173.02 @type=g5g.xlarge @arch=aarch64 %cluster=slurm %modules=open
R18 refuse
  nvidia_driver=580.142 @kernel=7.0.0-1014-aws
  nvidia_driver=580.173.02 @kernel=7.0.0-1014-aws
R20 refuse
  cuda=13.0.2 nvidia_driver=570.211.01
  cuda=12.9.1 nvidia_driver=570.211.01
R21 warn
  cuda=13.2.1 nvidia_driver=580.173.02
  cuda=13.0.2 nvidia_driver=580.173.02
R22 check
  cuda_compat=580.173.02 @type=g7e.48xlarge
  cuda_compat=580.173.02 @type=p5.48xlarge
R23 refuse
  cuda=12.9.1 @type=p6-b300.48xlarge
  cuda=12.9.1 @type=p6-b200.48xlarge
R24 refuse
  cuda=13.0.2 @type=p3.16xlarge
  cuda=12.9.1 @type=p3.16xlarge
R25 refuse
  image_cuda=13.0 nvidia_driver=570.211.01
  image_cuda=13.0 image_cuda_compat=580.95.05 nvidia_driver=570.211.01
R26 refuse
  aws_ofi_nccl=1.21.1 nccl=2.16.5
  aws_ofi_nccl=1.21.1 nccl=2.17.1
R27 warn
  aws_ofi_nccl=1.21.1 nccl=2.30.7-1
  aws_ofi_nccl=1.21.1 nccl=2.31.2-1
R28 refuse
  nccl=2.28.9-1 aws_ofi_nccl=1.17.1
  nccl=2.28.9-1 aws_ofi_nccl=1.17.2
R29 refuse
  cuda=13.0.2 aws_ofi_nccl=1.16.3
  cuda=12.9.1 aws_ofi_nccl=1.16.3
R30 refuse
  aws_ofi_nccl=1.18.0 libfabric=1.22.0
  aws_ofi_nccl=1.19.0 libfabric=1.22.0
R31 refuse
  libfabric=2.4.0amzn5.0 libfabric_at_build=2.6.0amzn1.0
  libfabric=2.6.0amzn1.0 libfabric_at_build=2.4.0amzn5.0
R32 warn
  aws_ofi_nccl=1.20.0 libfabric=2.4.0amzn3.0
  aws_ofi_nccl=1.20.0 libfabric=2.4.0amzn5.0
R33 refuse
  aws_ofi_nccl=1.17.2 @type=p6-b300.48xlarge
  aws_ofi_nccl=1.17.2 @type=p6-b200.48xlarge
R34 refuse
  nccl=2.17.1 @type=p5.48xlarge
  nccl=2.17.1 @type=p4d.24xlarge
R35 refuse
  nccl=2.24.3 @type=p6-b200.48xlarge
  nccl=2.25.1 @type=p6-b200.48xlarge
R36 refuse
  nccl=2.19.3 efa=1.28.0
  nccl=2.19.3 efa=1.28.0 $FI_EFA_SET_CUDA_SYNC_MEMOPS=0
R37 refuse
  aws_ofi_nccl=1.15.0 $NCCL_TUNER_PLUGIN=ofi
  aws_ofi_nccl=1.15.0 $NCCL_NET_PLUGIN=ofi
R38 refuse
  efa=1.50.0 aws_ofi_nccl=1.21.1 @os=debian12 %plugin_from=installer
  efa=1.50.0 aws_ofi_nccl=1.21.1 @os=debian13 %plugin_from=installer
R40 refuse
  efa=1.50.0 @os=amazon2023 %base_image=nvidia_cuda %disable_ngc=unused
  efa=1.50.0 @os=amazon2023 %base_image=nvidia_cuda %disable_ngc=used
R41 check
  efa=1.50.0 %efa_minimal=used
  efa=1.50.0
R42 check
  aws_ofi_nccl=1.18.0
  aws_ofi_nccl=1.19.2
R43 refuse
  nccl=2.30.7-1 gdrcopy=2.5.2 %gin=proxy
  nccl=2.31.2-1 gdrcopy=2.5.2 %gin=proxy
R44 refuse
  nvidia_driver=580.173.02 efa=1.28.0 %modules=open
  nvidia_driver=580.173.02 efa=1.29.0 %modules=open
R45 refuse
  nvidia_driver=580.173.02 efa=1.43.2 @type=p5.48xlarge
  nvidia_driver=575.64.05 efa=1.43.2 @type=p5.48xlarge
R46 refuse
  efa_driver=2.13.0 @kernel=6.12.110-135.202
  efa_driver=2.13.0 @kernel=6.8.0-1066-aws
R47 refuse
  nvidia_driver=580.173.02 nvidia_driver_of_peermem=580.159.03
  nvidia_driver=580.173.02 nvidia_driver_of_peermem=580.173.02
R48 refuse
  efa=1.45.1 @os=debian13
  efa=1.45.1 @os=debian12
R51 refuse
  efa=1.50.0 $RDMAV_FORK_SAFE=1
  efa=1.50.0 $-
R52 refuse
  libefa_private=34 libibverbs_private=59
  libefa_private=59 libibverbs_private=59
R53 refuse
  lustre_client=2.15.6 @os=ubuntu2404 @kernel=7.0.0-1014-aws
  lustre_client=2.15.6 @os=ubuntu2404 @kernel=6.8.0-1057-aws
R54 refuse
  lustre_client=2.15.6 @os=debian12
  lustre_client=2.15.6 @os=amazon2023
R55 refuse
  gdrcopy=2.5.1 @kernel=6.17
  gdrcopy=2.5.2 @kernel=6.17
R56 refuse
  nvidia_driver=580.173.02 nvidia_driver_of_gdrdrv=580.126.20
  nvidia_driver=580.173.02 nvidia_driver_of_gdrdrv=580.173.02
R57 refuse
  dcgm=4.7.0 dcgm_cuda=12 nvidia_driver=580.173.02
  dcgm=4.7.0 dcgm_cuda=13 nvidia_driver=580.173.02
R58 check
  dcgm_exporter=4.6.1-4.8.4
  dcgm=4.6.1
R59 refuse
  dcgm=3.3.9 dcgm_exporter=4.6.1-4.8.4
  dcgm=4.7.0 dcgm_exporter=4.6.1-4.8.4
R60 refuse
  nvidia_container_toolkit=1.20.1 libnvidia_container1=1.19.1
  nvidia_container_toolkit=1.20.1 libnvidia_container1=1.20.1-1
R61 refuse
  nvidia_container_toolkit=1.20.1 docker=24.0.9 %container_devices=cdi
  nvidia_container_toolkit=1.20.1 docker=24.0.9 %container_devices=runtime
R62 refuse
  nvidia_container_toolkit=1.17.7
  nvidia_container_toolkit=1.17.6
R63 refuse
  pyxis=0.24.0 enroot=4.1.2 slurm=25.11.8 slurm_of_pyxis=25.11.6
  pyxis=0.24.0 enroot=4.1.2 slurm=25.11.8 slurm_of_pyxis=25.11.8
R64 refuse
  pyxis=0.20.0 slurm=25.11.8 %slurm_origin=upgraded
  pyxis=0.20.0 slurm=25.11.8 %slurm_origin=own
R65 refuse
  slurm=26.05.4 ^slurm=24.05.3
  slurm=25.05.9 ^slurm=24.05.3
R66 warn
  slurm=25.11.7
  slurm=25.11.8
R67 warn
  slurm=25.11.8 %cgroup=v1
  slurm=24.11.5 %cgroup=v1
R68 refuse
  slurm_smd=25.11.8 slurm_distribution=22.05.8
  slurm_distribution=22.05.8
R69 refuse
  enroot=4.1.2 @kernel=2.6.32
  enroot=4.1.2 @kernel=6.1
R70 refuse
  neuron_dkms=2.31.7.0 neuron_runtime=2.33.10.0
  neuron_dkms=2.29.0.0 neuron_runtime=2.33.10.0
R71 refuse
  neuron_dkms=2.24.7.0 @kernel=6.18
  neuron_dkms=2.24.7.0 @kernel=6.14
R72 refuse
  pytorch_neuron=2.9.0.2.13.24727 @os=amazon2023
  pytorch_neuron=2.8.0 @os=amazon2023
R73 refuse
  efa_nv_peermem=1.2.3 @type=inf1.24xlarge
  efa_nv_peermem=1.2.3 nvidia_driver=580.173.02 @type=g7.2xlarge
R74 warn
  kubernetes=1.36 @kernel=6.12.110-135.202 %cluster=eks
  kubernetes=1.35 @kernel=6.12.110-135.202 %cluster=eks
R76 check
  nvidia_driver=580.173.02 @os=amazon2023
  nvidia_driver=580.173.02 @os=ubuntu2404
R77 refuse
  nvidia_driver=580.173.02 @type=p6e-gb300.36xlarge
  nvidia_driver=580.173.02 nvidia_imex=580.173.02 @type=p6e-gb300.36xlarge
K18 refuse
  nvidia_container_toolkit=1.17.8 @os=nixos %container_engine=podman
  nvidia_container_toolkit=1.17.6 @os=nixos %container_engine=podman
K19 refuse
  nvidia_container_toolkit=1.18.0 %image_mode=legacy
  nvidia_container_toolkit=1.18.0
K23 refuse
  nccl=2.28.9-1 aws_ofi_nccl=main-2025-11 libfabric=2.3.1 @type=p5.48xlarge
  nccl=2.28.9-1 aws_ofi_nccl=main-2025-11 libfabric=2.3.1amzn1.0 @type=p5.48xlarge
K24 refuse
  nccl=2.28.9-1 aws_ofi_nccl=main-2025-11 libfabric=2.1.0amzn3.0
  nccl=2.29.7-1 aws_ofi_nccl=main-2025-11 libfabric=2.1.0amzn3.0
K26 warn
  nccl=2.27.7 @type=p6-b200.48xlarge
  nccl=2.27.5 @type=p6-b200.48xlarge
K28 refuse
  efa=1.40.0 %efa_debug_packages=used
  efa=1.41.0 %efa_debug_packages=used
K33 refuse
  dcgm=3.3.5 dcgm_exporter=3.3.5
  dcgm=3.3.5
K39 check
  pyxis=0.24.0 enroot=4.1.2 %cluster=hyperpod
  pyxis=0.24.0 enroot=4.1.2 %cluster=slurm
K41 check
  slurm=24.11.6 %container=unprivileged
  slurm=24.11.6 %container=none
K46 refuse
  efa_driver=3.3.0 mlnx_ofed=present
  efa_driver=3.3.0
"""
"""Rule and verdict; the set that it objects to; the neighbour without that verdict."""


def _examples() -> list[tuple[str, str, str, str]]:
    lines = [line.strip() for line in _EXAMPLES.strip().splitlines()]
    return [(*_split(lines[at]), lines[at + 1], lines[at + 2]) for at in range(0, len(lines), 3)]


def _split(head: str) -> tuple[str, str]:
    rule, verdict = head.split()
    return rule, verdict


EXAMPLES = _examples()
