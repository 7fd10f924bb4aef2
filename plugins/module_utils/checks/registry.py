# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Every check, by its id."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    aws_cli,
    aws_ofi_nccl,
    base,
    cuda,
    dcgm,
    dcgm_exporter,
    docker,
    efa,
    efa_exporter,
    enroot,
    gdrcopy,
    gpu,
    image_cleanup,
    lustre_client,
    munge,
    nccl,
    nccl_tests,
    neuron,
    node_checks,
    node_exporter,
    nvidia_container_toolkit,
    nvidia_driver,
    nvidia_fabricmanager,
    nvlink,
    pytorch_env,
    pytorch_neuron,
    pyxis,
    slurm,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError, did_you_mean

_GROUPS = (
    aws_cli,
    aws_ofi_nccl,
    base,
    cuda,
    dcgm,
    dcgm_exporter,
    docker,
    efa,
    efa_exporter,
    enroot,
    gdrcopy,
    gpu,
    image_cleanup,
    lustre_client,
    munge,
    nccl,
    nccl_tests,
    neuron,
    node_checks,
    node_exporter,
    nvidia_container_toolkit,
    nvidia_driver,
    nvidia_fabricmanager,
    nvlink,
    pytorch_env,
    pytorch_neuron,
    pyxis,
    slurm,
)

CHECKS: dict[str, Check] = {check.id: check for group in _GROUPS for check in group.CHECKS}

GROUPS = tuple(dict.fromkeys(check.group for check in CHECKS.values()))
"""The roles and parts of a node that have checks."""


def select(groups: Iterable[str] = (), ids: Iterable[str] = ()) -> list[Check]:
    """The checks of some groups, and those of some ids; all where neither is named.

    :raises TrainingError: a group or an id that nothing has.
    """
    groups, ids = list(groups), list(ids)
    for name in groups:
        if name not in GROUPS:
            raise TrainingError(f"{name!r} has no checks", did_you_mean(name, GROUPS))
    for name in ids:
        if name not in CHECKS:
            raise TrainingError(f"check {name!r} is not known", did_you_mean(name, CHECKS))
    if not groups and not ids:
        return list(CHECKS.values())
    return [check for check in CHECKS.values() if check.group in groups or check.id in ids]
