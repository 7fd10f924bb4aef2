# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What action plugins share: the collection's own files, YAML, and the way errors reach the user. Controller only."""

from __future__ import annotations

import glob
import os
import re
import subprocess
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, test_case
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import (
    TrainingError,
    did_you_mean,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.jsonschema_subset import validate

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
"""The collection's folder."""


class OneLineAction(ActionBase):
    """An action whose TrainingError becomes the task's one-line message."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run ``act`` of the subclass; its dict is added to the task's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            result.update(self.act(plain(self._task.args), task_vars or {}))
        except TrainingError as error:
            raise AnsibleActionFail(str(error)) from None
        return result

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What the action does."""
        raise NotImplementedError


def plain(value: Any) -> Any:
    """A value of the plain Python types, without what Ansible's templating attaches to it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return "".join(value)
    return value


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: PyYAML takes the key ``on`` of a step, and a value ``off``, for true and false."""


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same by libyaml, where PyYAML has it: the catalogues in a seventh of the time."""


_BOOLEAN = "tag:yaml.org,2002:bool"
for _loader in (_Loader, _FastLoader):
    _loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))


def read_yaml(path: str) -> Any:
    """A YAML file."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        try:
            return yaml.load(text, Loader=_FastLoader)
        except yaml.YAMLError:  # the other one says better what is wrong, and where
            return yaml.load(text, Loader=_Loader)
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror}", "give the path of a readable file") from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else path
        raise TrainingError(
            f"{where}: not YAML: {getattr(error, 'problem', error)}", "mend the file's syntax"
        ) from error


def schema(name: str) -> Any:
    """A schema of the collection."""
    return read_yaml(os.path.join(ROOT, "schemas", f"{name}.schema.json"))


def read_catalogue(name: str) -> Any:
    """A catalogue of data/, checked against its schema."""
    return _checked(os.path.join(ROOT, "data", f"{name}.yml"), name)


def read_stack(overrides: Any = None) -> Any:
    """data/stack.yml with the user's ``stack_overrides`` merged in, where there are any, which the run then tells."""
    document = read_catalogue("stack")
    if not overrides:
        return document
    document = catalogue.overridden(document, plain(overrides), schema("stack"))
    Display().warning("stack_overrides takes part: what is installed is not what data/stack.yml alone says")
    return document


def _checked(path: str, schema_name: str) -> Any:
    """A file of data/, held to a schema."""
    document = read_yaml(path)
    problems = validate(document, schema(schema_name), path)
    if problems:
        raise TrainingError(str(problems[0]))
    return document


def known_cases() -> dict[str, str]:
    """Name and folder of every case that the collection ships."""
    cases: dict[str, str] = {}
    for path in sorted(glob.glob(os.path.join(ROOT, "test_cases", "*", "*", "case.yml"))):
        cases[read_yaml(path)["name"]] = os.path.dirname(path)
    return cases


def load_case(name: str | None, base: str) -> dict[str, Any]:
    """A case by its name or by the path of its folder (from ``base``), checked."""
    if not name:
        raise TrainingError("case is not given", f"-e case=NAME; known: {', '.join(sorted(known_cases()))}")
    if os.sep in name or name in (".", ".."):
        folder = os.path.realpath(os.path.join(base, os.path.expanduser(name)))
        if not os.path.isfile(os.path.join(folder, "case.yml")):
            raise TrainingError(
                f"case={name}: {folder} holds no case.yml", "give a case's name or the folder of its case.yml"
            )
    else:
        cases = known_cases()
        if name not in cases:
            raise TrainingError(
                f"case={name} is not known", f"{did_you_mean(name, cases)}; or the path of a case's folder"
            )
        folder = cases[name]
    path = os.path.join(folder, "case.yml")
    case = read_yaml(path)
    problems = [str(problem) for problem in validate(case, schema("case"), path)]
    if not problems:
        problems = [f"{path}: {problem}" for problem in test_case.inconsistencies(case)]
    if not problems and "requirements" in case.get("environment", {}):
        lock = os.path.normpath(os.path.join(folder, case["environment"]["requirements"] + ".lock"))
        if not os.path.isfile(lock):
            problems = [
                f"{path}: environment.requirements: there is no {lock}; fix: write that lock file, or name another"
            ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise TrainingError(problems[0] + more)
    return {**case, "path": folder}


def load_launcher(name: str) -> dict[str, Any]:
    """An entry of data/launchers, checked."""
    names = [
        os.path.splitext(os.path.basename(path))[0]
        for path in glob.glob(os.path.join(ROOT, "data", "launchers", "*.yml"))
    ]
    if name not in names:
        raise TrainingError(f"launcher={name} is not known", did_you_mean(name, names))
    launcher: dict[str, Any] = _checked(os.path.join(ROOT, "data", "launchers", f"{name}.yml"), "launcher")
    return launcher


def revision(folder: str) -> str:
    """The git revision of a folder, with ``-dirty`` where files differ from it; the collection's version elsewhere."""
    command = ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode == 0:
            return ran.stdout.strip()
    except OSError:
        pass  # no git here
    for name, keys in (("MANIFEST.json", ("collection_info", "version")), ("galaxy.yml", ("version",))):
        path = os.path.join(ROOT, name)
        if os.path.exists(path):
            value = read_yaml(path)
            for key in keys:
                value = value[key]
            return str(value)
    return "unknown"


def standing_in() -> str:
    """The folder that the user stands in."""
    return os.getcwd()
