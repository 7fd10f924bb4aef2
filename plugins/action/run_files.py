# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action run_files; its documentation is in plugins/modules/run_files.py."""

from __future__ import annotations

import base64
import io
import os
import tarfile
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.folders import files_of

_MOST_BYTES = 64 * 2**20


class ActionModule(controller.OneLineAction):
    """Pack files of the controller into one call of the module: each call costs as much as many small files."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns what the module returns."""
        archive = base64.b64encode(packed(args["files"])).decode()
        written: dict[str, Any] = self._execute_module(
            module_args={"dest": args["dest"], "archive": archive}, task_vars=task_vars
        )
        written.get("invocation", {}).pop("module_args", None)  # with -vvv it would print all of the archive
        return written


def packed(files: dict[str, str]) -> bytes:
    """A compressed tar of files and folders by the names that they get; an empty path is passed over."""
    buffer, size = io.BytesIO(), 0
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=1) as archive:
        for name, path in ((name, path) for name, path in files.items() if path):
            for part in files_of(path) if os.path.isdir(path) else [""]:
                source, target = os.path.join(path, part) if part else path, os.path.join(name, part) if part else name
                size += os.path.getsize(source)
                if size > _MOST_BYTES:
                    raise TrainingError(
                        f"{path} holds more than {_MOST_BYTES >> 20} MiB", "keep data outside of the case's folder"
                    )
                member = tarfile.TarInfo(target)
                member.size = os.path.getsize(source)
                member.mode = os.stat(source).st_mode & 0o777
                with open(source, "rb") as file:
                    archive.addfile(member, file)
    return buffer.getvalue()
