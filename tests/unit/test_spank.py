"""SPANK plugins: what plugstack.conf loads, for which Slurm a plugin was built, and the module that tells both."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import spank
from ansible_collections.awsome.distributed_training.plugins.modules import spank_plugin_info
from ansible_collections.awsome.distributed_training.tests.unit.module_call import call
from ansible_collections.awsome.distributed_training.tests.unit.spank_example import plugin

NAME = "spank_pyxis.so"
LINE = f"required /usr/local/lib/slurm/{NAME}"
# libslurm-dev 22.05.8 (Debian 12), recorded and shortened
HEADER = "#ifndef _SLURM_VERSION_H_\n#define _SLURM_VERSION_H_\n\n#define SLURM_VERSION_NUMBER 0x160508\n"


def test_a_plugin_tells_the_slurm_that_it_was_built_for() -> None:
    assert spank.built_for(plugin(0x160508, b"constants before it")) == "22.05.8"
    assert spank.built_for(plugin(0x190B08)) == "25.11.8"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#!/bin/sh\n",
        plugin(0x160508)[:80],
        plugin(0x160508)[:-64],
        plugin(0x160508, symbol="plugin_versions"),
        plugin(0x160508, symbol="my_plugin_version"),
        plugin(0x160508, has=False),
    ],
)
def test_what_is_no_plugin_is_told_so(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^it (is|has) "):
        spank.built_for(data)


@pytest.mark.parametrize(
    ("text", "version"),
    [("slurm-wlm 22.05.8\n", "22.05.8"), ("slurm 25.11.8\n", "25.11.8"), ("srun: fatal: Could not establish\n", "")],
)
def test_slurm_tells_its_version_as_debian_and_schedmd_have_it(text: str, version: str) -> None:
    assert spank.version_told(text) == version


def test_headers_tell_whose_they_are() -> None:
    assert spank.header_version(HEADER) == "22.05.8"
    assert spank.header_version("") == ""


def shown(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    argv = spank.stack(str(folder)).argv
    return subprocess.run(argv, check=False, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, []),
        ({"plugstack.conf": f"{LINE}\n"}, ["plugstack.conf"]),
        ({"plugstack.conf": f"# {LINE}\nrequired other.so # {NAME}\n"}, []),
        (
            {"plugstack.conf": "include @/d/*\n", "d/a.conf": f"\n  optional {NAME}\n", "d/b": f"{LINE}\n"},
            ["d/a.conf", "d/b"],
        ),
        ({"plugstack.conf": "\tinclude d/*.conf # all\n", "d/a.conf": f"{LINE}\n", "d/b": f"{LINE}\n"}, ["d/a.conf"]),
        (
            {"plugstack.conf": "include @/one\n", "one": "include @/two\ninclude @/none/*\n", "two": f"{LINE}\n"},
            ["two"],
        ),
        ({"d/a.conf": f"{LINE}\n"}, []),
    ],
)
def test_the_lines_that_load_a_plugin_are_found_through_every_include(
    tmp_path: Path, files: dict[str, str], found: list[str]
) -> None:
    text = shown(tmp_path, {name: held.replace("@", str(tmp_path)) for name, held in files.items()})
    lines = spank.lines(text, str(tmp_path), NAME)
    assert [line.file for line in lines] == [str(tmp_path / name) for name in found]


def test_a_line_tells_what_it_loads_and_how(tmp_path: Path) -> None:
    text = shown(
        tmp_path,
        {"plugstack.conf": f"include d/*\n{LINE} runtime_path=/run/pyxis  container_scope=job # sbatch_support=0\n"},
    )
    assert spank.lines(text, str(tmp_path), NAME) == [
        spank.Line(
            str(tmp_path / "plugstack.conf"),
            f"/usr/local/lib/slurm/{NAME}",
            ("runtime_path=/run/pyxis", "container_scope=job"),
        )
    ]
    assert spank.included(text, str(tmp_path)) == [f"{tmp_path}/d/*"]


def slurm(folder: Path, files: dict[str, bytes | str]) -> dict[str, Any]:
    """What the module says of a Slurm in a folder of its own."""
    programs = {"bin/srun": "#!/bin/sh\nexit 1\n", "sbin/slurmd": "#!/bin/sh\necho slurm 25.11.8\n"}
    for name, held in {**programs, "include/slurm/slurm_version.h": HEADER, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(held.encode() if isinstance(held, str) else held)
        path.chmod(0o755)
    return call(spank_plugin_info, plugin=NAME, prefix=str(folder))


def test_the_module_tells_of_a_slurm_that_does_not_load_the_plugin_that_lies_there(tmp_path: Path) -> None:
    told = slurm(tmp_path, {f"lib/slurm/{NAME}": plugin(0x190B08)})
    assert told["slurm"] == {
        "version": "25.11.8",
        "headers": "22.05.8",
        "prefix": str(tmp_path),
        "config_dir": f"{tmp_path}/etc",
    }
    assert (told["lines"], told["path"], told["built_for"]) == ([], f"{tmp_path}/lib/slurm/{NAME}", "25.11.8")


def test_what_a_line_loads_comes_before_what_lies_there(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "etc/plugstack.conf": f"required {tmp_path}/mine/{NAME}\n",
        f"mine/{NAME}": plugin(0x160508),
        f"lib/slurm/{NAME}": plugin(0x190B08),
    }
    told = slurm(tmp_path, files)
    assert (told["path"], told["built_for"]) == (f"{tmp_path}/mine/{NAME}", "22.05.8")


def test_a_plain_name_is_what_lies_in_slurms_own_folder(tmp_path: Path) -> None:
    told = slurm(tmp_path, {"etc/plugstack.conf": f"required {NAME}\n", f"lib64/slurm/{NAME}": "no plugin"})
    assert (told["path"], told["built_for"]) == (f"{tmp_path}/lib64/slurm/{NAME}", "")


def test_a_folder_without_slurm_has_no_version(tmp_path: Path) -> None:
    told = call(spank_plugin_info, plugin=NAME, prefix=str(tmp_path))
    assert told["slurm"]["version"] == told["slurm"]["headers"] == told["path"] == ""
