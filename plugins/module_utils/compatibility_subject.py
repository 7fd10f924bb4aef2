# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What is judged: chosen versions on a platform, and whether a condition of data/constraints.yml holds there. Pure.

Answers have three values: None stands for what is not known, such as a type that nobody named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_versions import (
    both,
    version,
    version_range,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import (
    TrainingError,
    did_you_mean,
)

Document = Mapping[str, Any]

KERNEL = "kernel"
"""The component that is a version of the node itself."""


@dataclass(frozen=True)
class Platform:
    """Where components are to run. What is None is not known.

    :param os: a name of ``systems`` in data/constraints.yml, such as ubuntu2204.
    :param arch: x86_64 or aarch64.
    :param kernel: its release, such as 6.8.0-1066-aws; it stands before a component kernel.
    :param instance_type: an EC2 type.
    :param accelerator: cuda or neuron, where there is no type that tells it.
    :param model: the accelerator, likewise.
    :param settings: choices that are no version; those that are not stated have their defaults.
    :param environment: the job's variables.
    :param running: component and version that run now, before an upgrade.
    """

    os: str
    arch: str
    kernel: str | None = None
    instance_type: str | None = None
    accelerator: str | None = None
    model: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] | None = None
    running: Mapping[str, str] = field(default_factory=dict)


def checked(platform: Platform, document: Document, types: Document) -> Platform:
    """The platform, each of its names known.

    :param document: data/constraints.yml.
    :param types: data/instance_types.yml.
    :raises TrainingError: an OS, architecture, type or setting that is not known, or a version that is none.
    """
    for option, value, known in (
        ("os", platform.os, list(document["systems"])),
        ("arch", platform.arch, ["aarch64", "x86_64"]),
        ("accelerator", platform.accelerator, ["cuda", "neuron"]),
        ("model", platform.model, list({**types["accelerators"], **document["gpus"]})),
    ):
        if value is not None and value not in known:
            raise TrainingError(f"{option}={value} is not known", did_you_mean(str(value), known))
    for name, value in ((KERNEL, platform.kernel), *platform.running.items()):
        if value is not None and not version(value).release:
            raise TrainingError(f"{name}={value} is no version", "like 6.8.0-1066-aws or 580.173.02")
    for name, value in platform.settings.items():
        if name not in document["settings"]:
            raise TrainingError(f"there is no setting {name!r}", did_you_mean(name, document["settings"]))
        values = document["settings"][name]["values"]
        if value not in values:
            raise TrainingError(f"{name}={value!r} is not one of its values", did_you_mean(str(value), values))
    asked = platform.instance_type
    if asked and asked not in types["instance_types"] and not _pattern(asked, document["types"]):
        raise TrainingError(
            f"instance type {asked!r} is not in the catalogue", did_you_mean(asked, types["instance_types"])
        )
    return platform


class Subject:
    """Chosen versions on a platform.

    :param chosen: component and version.
    :param document: data/constraints.yml.
    :param types: data/instance_types.yml.
    """

    def __init__(self, chosen: Mapping[str, str], platform: Platform, document: Document, types: Document) -> None:
        self.versions = dict(chosen)
        if platform.kernel:
            self.versions[KERNEL] = platform.kernel
        self.platform = platform
        self.document = document
        entry = types["instance_types"].get(platform.instance_type)
        pattern = _pattern(platform.instance_type or "", document["types"])
        self.kind, self.model = platform.accelerator, platform.model
        self.count: int | None = None
        self.efa: bool | None = None
        if entry:
            self.model, self.count = entry["accelerator"]["model"], entry["accelerator"]["count"]
            self.kind = types["accelerators"][self.model]["kind"]
            self.efa = entry["network"]["efa"] > 0
        elif pattern:
            self.kind, self.model = document["types"][pattern]["kind"], document["types"][pattern]["model"]
        elif self.model in types["accelerators"]:
            self.kind = types["accelerators"][self.model]["kind"]
        self.settings = {name: self._setting(name) for name in document["settings"]}

    def _setting(self, name: str) -> str | None:
        about = self.document["settings"][name]
        if name in self.platform.settings:
            return self.platform.settings[name]
        for default in about.get("defaults", []):
            self.settings = {**dict.fromkeys(self.document["settings"]), **self.platform.settings}
            if self.holds(default["when"]):
                value: str = default["value"]
                return value
        fallback: str | None = about.get("default")
        return fallback

    def holds(self, condition: Mapping[str, Any] | None) -> bool | None:
        """Whether all of a condition does."""
        unknown = False
        for key, value in (condition or {}).items():
            held = _ASKED[key](self, value)
            if held is False:
                return False
            unknown = unknown or held is None
        return None if unknown else True

    def unknown(self, condition: Mapping[str, Any] | None) -> list[str]:
        """What one would have to know to decide a condition."""
        found: list[str] = []
        for key, value in (condition or {}).items():
            if _ASKED[key](self, value) is not None:
                continue
            if key == "settings":
                found += [f"setting {name}" for name in value if self.settings[name] is None]
            elif key == "versions":
                found += [f"version of {name}" for name in value if self.has(name, value[name]) is None]
            else:
                found.append(_UNKNOWN[key])
        return list(dict.fromkeys(found))

    def tells(self, condition: Mapping[str, Any] | None) -> list[str]:
        """What the subject has where a condition looks: ``cuda 13.0.2``, ``type p5.48xlarge (8 x H100)``."""
        told: list[str] = []
        for key, value in (condition or {}).items():
            if key == "versions":
                told += [self.told(name) for name in value]
            elif key == "settings":
                told += [f"{name}={self.settings[name] or 'not stated'}" for name in value]
            elif key == "environment":
                told += [f"{name}={(self.platform.environment or {}).get(name)}" for name in value]
            elif key == "without":
                told += [f"no {name}" for name in value]
            elif key == "os":
                told.append(self.system)
            elif key == "arch":
                told.append(self.platform.arch)
            else:
                told.append(self.machine)
        return list(dict.fromkeys(told))

    def told(self, name: str) -> str:
        """A component and its version."""
        return f"{name} {self.versions[name]}" if name in self.versions else f"no {name}"

    @property
    def system(self) -> str:
        """The OS for a reader."""
        name: str = self.document["systems"].get(self.platform.os, self.platform.os)
        return name

    @property
    def machine(self) -> str:
        """Type and accelerators for a reader."""
        model = f"{self.count} × {self.model}" if self.count else self.model or self.kind
        if self.platform.instance_type:
            return f"type {self.platform.instance_type} ({model})"
        return f"a node with {model}" if model else "a type that is not stated"

    def has(self, name: str, wanted: str) -> bool | None:
        """A component is there, in a range."""
        if name not in self.versions:
            return None if name == KERNEL else False
        return version_range(wanted).holds(self.versions[name])

    def _has(self, ranges: Mapping[str, str]) -> bool | None:
        return both([self.has(name, wanted) for name, wanted in ranges.items()])

    def _lacks(self, names: Sequence[str]) -> bool:
        return not any(name in self.versions for name in names)

    def is_type(self, patterns: Sequence[str]) -> bool | None:
        """The EC2 type matches one of some patterns."""
        asked = self.platform.instance_type
        return None if asked is None else _pattern(asked, patterns) is not None

    def _in_group(self, name: str) -> bool | None:
        return self.is_type(self.document["groups"][name]["types"])

    def _is_model(self, models: Sequence[str]) -> bool | None:
        if self.model:
            return self.model in models
        return False if self.kind == "neuron" else None

    def _is_gpu(self, architectures: Sequence[str]) -> bool | None:
        if self.model:
            about = self.document["gpus"].get(self.model, {})
            return about.get("architecture") in architectures
        return False if self.kind == "neuron" else None

    def _is_kind(self, kind: str) -> bool | None:
        return None if self.kind is None else self.kind == kind

    def _has_efa(self, wanted: bool) -> bool | None:
        return None if self.efa is None else self.efa == wanted

    def _set_to(self, choices: Mapping[str, Sequence[str]]) -> bool | None:
        held = [None if self.settings[name] is None else self.settings[name] in choices[name] for name in choices]
        return both(held)

    def _exports(self, choices: Mapping[str, Sequence[str]]) -> bool:
        given = self.platform.environment or {}
        return all(given.get(name) in values for name, values in choices.items())


_ASKED: dict[str, Any] = {
    "versions": Subject._has,
    "without": Subject._lacks,
    "os": lambda subject, names: subject.platform.os in names,
    "arch": lambda subject, names: subject.platform.arch in names,
    "types": Subject.is_type,
    "group": Subject._in_group,
    "models": Subject._is_model,
    "gpu": Subject._is_gpu,
    "accelerator": Subject._is_kind,
    "efa": Subject._has_efa,
    "settings": Subject._set_to,
    "environment": Subject._exports,
}
_UNKNOWN = {
    "types": "instance type",
    "group": "instance type",
    "models": "accelerator",
    "gpu": "accelerator",
    "accelerator": "accelerator",
    "efa": "EFA interfaces of the type",
}


def _pattern(name: str, patterns: Sequence[str] | Mapping[str, Any]) -> str | None:
    """The first pattern that a name matches."""
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)
