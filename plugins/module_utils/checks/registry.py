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
    image_cleanup,
    lustre_client,
    munge,
    nccl,
    neuron,
    node_exporter,
    nvidia_container_toolkit,
    nvidia_driver,
    nvidia_fabricmanager,
    pytorch_neuron,
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
    image_cleanup,
    lustre_client,
    munge,
    nccl,
    neuron,
    node_exporter,
    nvidia_container_toolkit,
    nvidia_driver,
    nvidia_fabricmanager,
    pytorch_neuron,
    slurm,
)

CHECKS: dict[str, Check] = {check.id: check for group in _GROUPS for check in group.CHECKS}

ROLES = tuple(dict.fromkeys(check.role for check in CHECKS.values()))
"""The roles that have checks."""


def select(roles: Iterable[str] = (), ids: Iterable[str] = ()) -> list[Check]:
    """The checks of some roles, and those of some ids; all where neither is named.

    :raises TrainingError: a role or an id that nothing has.
    """
    roles, ids = list(roles), list(ids)
    for name in roles:
        if name not in ROLES:
            raise TrainingError(f"role {name!r} has no checks", did_you_mean(name, ROLES))
    for name in ids:
        if name not in CHECKS:
            raise TrainingError(f"check {name!r} is not known", did_you_mean(name, CHECKS))
    if not roles and not ids:
        return list(CHECKS.values())
    return [check for check in CHECKS.values() if check.role in roles or check.id in ids]
