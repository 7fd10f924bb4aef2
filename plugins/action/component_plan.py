# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action component_plan; its documentation is in plugins/modules/component_plan.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible import constants
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, component, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_catalogues import (
    kept_catalogues,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import Platform
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

FACTS = "awsome.distributed_training.component_facts"


class ActionModule(controller.OneLineAction):
    """Read the node, think, and return what is to be done."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns what RETURN of the documentation says."""
        role, names = args["role"], args["components"]
        catalogues = kept_catalogues(self._variable("stack_overrides", task_vars), constants.DEFAULT_LOCAL_TMP)
        stack = self._variable("adt_stack", task_vars) or None
        also = args.get("also_packages", {})
        known = {name: component.every_package(catalogues.stack, name) | set(also.get(name, ())) for name in names}
        given = {"packages": sorted(set().union(*known.values())), "looks": args.get("looks", {})}
        facts = self._execute_module(module_name=FACTS, module_args=given, task_vars=task_vars)
        if facts.get("failed"):
            raise TrainingError(f"{role}: {facts.get('msg')}", "see that the node can be reached and has Python")
        system = component.system_of(facts["os_release"], role)
        if facts["uid"] != 0:
            raise TrainingError(f"{role}: the role acts as uid {facts['uid']}, but needs root", "become: true")
        platform = Platform(
            os=system,
            arch=facts["arch"],
            kernel=facts["kernel"],
            instance_type=self._variable("adt_instance_type", task_vars) or facts["instance_type"],
        )
        chosen = catalogue.chosen(catalogues.stack, stack, system, platform.arch)
        if args.get("needed"):
            names = component.needed(role, names, chosen, platform, catalogues)
        found = {
            name: component.Found(
                {package: facts["packages"][package] for package in known[name] if package in facts["packages"]},
                facts["looks"].get(name),
            )
            for name in names
        }
        preinstalled = args.get("preinstalled", component.KEEP)
        kept = preinstalled == component.KEEP
        there = {name: one.version for name, one in found.items() if one.version and kept}
        new = [name for name in names if not (kept and (found[name].version or found[name].packages))]
        settings = component.settled(role, new, args.get("settings", {}), {**chosen, **there}, platform, catalogues)
        platform = replace(platform, settings=settings)
        planned = component.plan(role, names, catalogues, platform, found, preinstalled, stack)
        mirrored = self._variable("artifact_mirror", task_vars)
        signer = self._variable("artifact_mirror_signer", task_vars) if mirrored else ""
        expected = component.expected(planned, platform, catalogues.types, signer or "")
        return {
            "changed": False,
            "components": {one.name: one.as_dict() for one in planned},
            "install": any(one.install for one in planned),
            "kept": any(one.kept for one in planned),
            "system": system,
            "arch": platform.arch,
            "kernel": platform.kernel,
            "settings": settings,
            "looks": facts["looks"],
            "instance": expected.get("instance", {}),
            "expected": expected,
        }

    def _variable(self, name: str, task_vars: dict[str, Any]) -> Any:
        """A variable of the play, whose own templates are filled in."""
        value = task_vars.get(name)
        return controller.plain(self._templar.template(value)) if value else value
