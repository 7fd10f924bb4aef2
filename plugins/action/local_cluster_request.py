# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action local_cluster_request; its documentation is in plugins/modules/local_cluster_request.py."""

from __future__ import annotations

import glob
import os
import platform
import shutil
import subprocess
import sys
from typing import Any

from ansible.utils.vars import load_extra_vars
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, local_cluster
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.node import node_facts

_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


class ActionModule(controller.OneLineAction):
    """Read the public variables of clusters.local_slurm, and what its nodes take over from this machine."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``request``, complete."""
        request = local_cluster.read_request(args, [str(name) for name in load_extra_vars(self._loader)])
        if platform.system() != "Linux":
            raise TrainingError(
                f"a local cluster needs Linux, this is {platform.system()}", "run it in a virtual machine"
            )
        if request["state"] == "present":
            for program in ("ssh", "ssh-keygen"):
                if shutil.which(program) is None:
                    raise TrainingError(f"{program} is missing", "apt-get install openssh-client")
        caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        cache = os.path.join(caches, "awsome-distributed-training")
        certificates = sorted(glob.glob("/usr/local/share/ca-certificates/**/*.crt", recursive=True))
        pip = _pip_settings()
        machine = node_facts()
        request.update(
            folder=os.path.join(controller.standing_in(), "clusters", request["cluster"]),
            image_cache=os.path.join(cache, "node-images"),
            environments=os.path.join(cache, "local-cluster"),
            may_install=os.environ.get("CI") == "true" or os.environ.get("INSTALL_DOCKER") == "1",
            certificates=certificates,
            # whole GiB, so that a few pages more or less do not change the cluster's configuration
            cpus=machine["cpus"],
            memory_mib=int(machine["memory_gib"]) * 1024,
            package_folders=[folder for folder in local_cluster.pip_folders(pip) if os.path.isdir(folder)],
            node_files={
                path: text
                for path, text in (
                    ("/etc/pip.conf", local_cluster.pip_conf(pip, _BUNDLE if certificates else None)),
                    ("/etc/environment", _proxies()),
                )
                if text
            },
        )
        return {"changed": False, "request": request}


def _pip_settings() -> dict[str, str]:
    """Where pip takes packages from on this machine; nothing where there is no pip."""
    words = [sys.executable, "-m", "pip", "config", "list"]
    ran = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return local_cluster.pip_settings(ran.stdout) if ran.returncode == 0 else {}


def _proxies() -> str:
    return "".join(f"{name}={os.environ[name]}\n" for name in _PROXIES if os.environ.get(name))
