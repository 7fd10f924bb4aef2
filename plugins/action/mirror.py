# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action mirror; its documentation is in plugins/modules/mirror.py."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible_collections.awsome.distributed_training.plugins.module_utils import (
    controller,
    mirror_plan,
    mirror_s3,
    mirror_store,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact_download import Options
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


class ActionModule(controller.OneLineAction):
    """Plan a mirror, and write it unless the play only checks."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``files``, ``fetched``, ``indexes``, ``folder`` and, with an address in S3, ``uploaded``."""
        say = Display().display
        check = bool(self._task.check_mode)
        redirects = args.pop("redirects", {})
        request = mirror_plan.read_request(args, [str(name) for name in load_extra_vars(self._loader)], check)
        if request["mirror_s3"]:
            mirror_s3.target(request["mirror_s3"])
        document = controller.read_stack(request["stack_overrides"])
        wanted = mirror_plan.wanted(document, request)
        folder = os.path.join(controller.standing_in(), os.path.expanduser(request["mirror_dir"]))
        signer = mirror_store.Signer(request["mirror_signer"]) if request["mirror_signer"] else None
        if signer:
            mirror_store.see_signer(folder, signer)
        try:
            plan = mirror_store.make_plan(wanted, folder, Options(redirects), say)
            stack = request["stack"] or document["default"]
            title = (
                f"mirror of stack {stack} for {', '.join(request['os'])} on {', '.join(request['arch'])} in {folder}"
            )
            if document.get("overridden"):
                title += "; stack_overrides took part"
            items = [one.item for one in plan.files]
            for line in mirror_plan.plan_lines(title, items, wanted.left):
                say(line)
            result: dict[str, Any] = {
                "files": [one.path for one in items],
                "fetched": 0,
                "indexes": [],
                "folder": folder,
            }
            if check or signer is None:
                return {**result, "changed": any(not one.here for one in items)}
            os.makedirs(folder, mode=0o755, exist_ok=True)
            mirror_store.see_room(plan, folder)
            now = time.time()
            result["fetched"] = mirror_store.fetch_missing(plan, folder, Options(redirects), say)
            result["indexes"] = mirror_store.write_indexes(plan, folder, signer, now)
            about = {
                "stack": stack,
                "overridden": bool(document.get("overridden")),
                "os": request["os"],
                "arch": request["arch"],
                "components": request["components"],
                "left": [vars(one) for one in wanted.left],
                "signer": signer.fingerprint,
            }
            written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
            recorded = mirror_store.write_record(plan, folder, about, written)
        except OSError as error:
            raise TrainingError(
                f"{error.filename or folder}: {error.strerror}", "see that this user may write it"
            ) from None
        say(f"fetched {result['fetched']} of {len(items)} files; artifact_mirror={folder}")
        say(f"artifact_mirror_signer={signer.fingerprint}")
        if request["mirror_s3"]:
            result["uploaded"] = mirror_s3.sync(folder, request["mirror_s3"], say)
            say(f"uploaded {len(result['uploaded'])} files to {request['mirror_s3']}")
        changed = result["fetched"] or result["indexes"] or recorded or result.get("uploaded")
        return {**result, "changed": bool(changed)}
