# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role dcgm."""

from __future__ import annotations

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import common

CHECKS = (
    common.packages("dcgm", "dcgm"),
    common.repository("dcgm", "dcgm"),
    common.service("dcgm", "nvidia-dcgm"),
)
