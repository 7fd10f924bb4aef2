# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Makes program adt-checks: one file that Python runs, of the registry and of what it reaches. Controller only."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

PACKAGE = "ansible_collections.awsome.distributed_training.plugins.module_utils"
START = f"{PACKAGE}.checks.program"

_MAIN = f"""import json, pkgutil, sys

from {START} import main

sys.exit(main(sys.argv[1:], json.loads(pkgutil.get_data("{PACKAGE}.checks", "data.json"))))
"""
_SHEBANG = b"#!/usr/bin/env python3\n"
_TIME = (1980, 1, 1, 0, 0, 0)
"""The same files give the same program: a zip's first day."""


def sources(root: str) -> dict[str, str]:
    """Path in the program and text of every file that it reaches, by what they import.

    :param root: the collection's folder.
    """
    found: dict[str, str] = {}
    left = [START]
    while left:
        name = left.pop()
        path = _path_of(root, name)
        if path is None or path in found:
            continue
        with open(os.path.join(root, *path.split("/")[3:]), encoding="utf-8") as file:
            found[path] = file.read()
        left += _imported(found[path], name)
    folders = {path.rpartition("/")[0] for path in found}
    for folder in folders | {parent for one in folders for parent in _parents(one)}:
        found.setdefault(f"{folder}/__init__.py", "")
    return found


def program(root: str, data: Mapping[str, Any]) -> bytes:
    """The program's bytes.

    :param data: what checks.program.main takes.
    """
    texts = {"__main__.py": _MAIN, **sources(root)}
    texts[f"{PACKAGE.replace('.', '/')}/checks/data.json"] = json.dumps(data, sort_keys=True)
    made = io.BytesIO()
    made.write(_SHEBANG)
    with zipfile.ZipFile(made, "a", zipfile.ZIP_DEFLATED) as archive:
        for path, text in sorted(texts.items()):
            archive.writestr(zipfile.ZipInfo(path, _TIME), text, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def version(root: str, data: Mapping[str, Any], of_collection: str) -> str:
    """The collection's version, and letters that change with what the program does."""
    digest = hashlib.sha256(json.dumps([sources(root), data], sort_keys=True).encode()).hexdigest()
    return f"{of_collection}+{digest[:12]}"


def _path_of(root: str, name: str) -> str | None:
    """The file of a module of the collection, as a path below its namespace's folder."""
    if not name.startswith("ansible_collections.awsome.distributed_training."):
        return None
    below = name.split(".")
    for path in ("/".join(below) + ".py", "/".join([*below, "__init__.py"])):
        if os.path.isfile(os.path.join(root, *path.split("/")[3:])):
            return path
    return None


def _imported(text: str, name: str) -> list[str]:
    """Names of modules that a module may import, with its own packages."""
    found = [name.rpartition(".")[0]]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
    return found


def _parents(folder: str) -> list[str]:
    parts = folder.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
