"""Kernel and services: dmesg, modinfo, lsmod, dkms, systemctl, lctl, nvidia-ctk, and files below /proc and /sys.

dmesg: util-linux 2.38.1, own run; lines of Xids: public reports of drivers 535 to 580, recorded. modinfo: kmod 30, own
run; the fields of module nvidia: a public log of 610.57.04. /proc/modules: recorded with the H200; lsmod, from it: kmod
30, own run. dkms status: dkms 3.0.10, its man page; module nvidia on EC2: a public log of 580.178.04. systemctl show:
systemd 252, own run. lctl: Lustre 2.15.6, a public log. nvidia-ctk: NVIDIA/nvidia-container-toolkit d34b3046, cdi list;
--version reconstructed.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Optional

Told = Optional[tuple[int, str, str]]
State = Mapping[str, Any]

_OURS = ("nvidia", "nvidia_uvm", "efa", "efa_nv_peermem", "nvidia_peermem", "neuron", "lustre", "ib_umad", "gdrdrv")
"""Modules that a fake node has or lacks; of others the node's own tools tell."""


def _dmesg(state: State, words: list[str]) -> Told:
    stamps = {
        "": lambda seconds: f"[{seconds:12.6f}]",
        "--time-format=iso": lambda seconds: f"{_at(state, seconds):%Y-%m-%dT%H:%M:%S,%f}+00:00",
        "-T": lambda seconds: f"[{_at(state, seconds):%a %b %e %H:%M:%S %Y}]",
        "--ctime": lambda seconds: f"[{_at(state, seconds):%a %b %e %H:%M:%S %Y}]",
    }
    asked = words[0] if words else ""
    if len(words) > 1 or asked not in stamps:
        return None
    lines = [f"{stamps[asked](float(seconds))} {text}" for seconds, text in state["kernel_log"]]
    return 0, "".join(f"{line}\n" for line in lines), ""


def _at(state: State, seconds: float) -> datetime.datetime:
    booted = datetime.datetime.strptime(state["boot"], "%Y-%m-%dT%H:%M:%S")
    return booted + datetime.timedelta(seconds=seconds)


def _modinfo(state: State, words: list[str]) -> Told:
    fields = words[1:2] if words[:1] == ["-F"] and len(words) == 3 else []
    name = words[-1] if words else ""
    if name not in _OURS or (not fields and len(words) != 1):
        return None
    module = state["modules"].get(name)
    if not module or "version" not in module:
        return 1, "", f"modinfo: ERROR: Module {name} not found.\n"
    known = {
        "filename": f"/lib/modules/{state['kernel']}/updates/dkms/{name}.ko.zst",
        "version": module["version"],
        "license": module["license"],
        "vermagic": f"{state['kernel']} SMP mod_unload modversions ",
    }
    if fields:
        return 0, f"{known[fields[0]]}\n" if fields[0] in known else "", ""
    return 0, "".join(f"{field + ':':<16}{value}\n" for field, value in known.items()), ""


def _loaded(state: State) -> list[str]:
    return sorted(name for name, module in state["modules"].items() if module.get("loaded"))


def _lsmod(state: State, words: list[str]) -> Told:
    if words:
        return None
    lines = ["Module                  Size  Used by", *(f"{name:<19} {16384:>8}  0" for name in _loaded(state))]
    return 0, "".join(f"{line}\n" for line in lines), ""


def _dkms(state: State, words: list[str]) -> Told:
    if words != ["status"]:
        return None
    lines = [
        f"{one['name']}/{one['version']}, {one.get('kernel', state['kernel'])}, {state['arch']}: installed"
        for one in state["dkms"]
    ]
    return 0, "".join(f"{line}\n" for line in lines), ""


def _systemctl(state: State, words: list[str]) -> Told:
    units = state["units"]
    asked = [word.partition("=")[2] for word in words if word.startswith("--property=")]
    names = [word for word in words[1:] if not word.startswith("-")]
    if words[:1] == ["show"] and asked and not names:
        lines = [f"{name}={value}" for name, value in state["manager"].items() if name in asked[0].split(",")]
        return (0, "".join(f"{line}\n" for line in lines), "") if lines else None
    if len(names) != 1:
        return None
    name = names[0] if "." in names[0] else f"{names[0]}.service"
    unit = units.get(name)
    if unit is None:
        return None
    if words[0] == "show" and asked:
        lines = [f"{key}={value}" for key, value in unit.items() if key in asked[0].split(",")]
        return 0, "".join(f"{line}\n" for line in lines), ""
    if words[0] in ("is-active", "is-enabled"):
        said = unit["ActiveState" if words[0] == "is-active" else "UnitFileState"]
        return int(said not in ("active", "enabled")) * (3 if words[0] == "is-active" else 1), f"{said}\n", ""
    return None


def _lctl(state: State, words: list[str]) -> Told:
    return (0, f"lctl {state['lustre']}\n", "") if words == ["--version"] and state["lustre"] else None


def _nvidia_ctk(state: State, words: list[str]) -> Told:
    toolkit = state["toolkit"]
    if words == ["--version"]:
        return 0, f"NVIDIA Container Toolkit CLI version {toolkit['version']}\n", ""
    if words == ["cdi", "list"]:
        devices = [*(str(gpu["index"]) for gpu in state["gpus"]), "all"] if toolkit["specification"] else []
        said = f'time="{state["iso"]}Z" level=info msg="Found {len(devices)} CDI devices"\n'
        return 0, "".join(f"nvidia.com/gpu={device}\n" for device in devices), said
    return None


def files(state: State) -> dict[str, str]:
    """The firmware's word of the type, and what is loaded."""
    found = {
        "/sys/devices/virtual/dmi/id/sys_vendor": "Amazon EC2\n",
        "/sys/devices/virtual/dmi/id/product_name": f"{state['type']}\n",
        "/proc/modules": "".join(f"{name} 16384 0 - Live 0x0000000000000000 (OE)\n" for name in _loaded(state)),
    }
    for name in _loaded(state):
        # another version may be loaded than is on disk
        module = state["modules"][name]
        if "version" in module:
            found[f"/sys/module/{name}/version"] = f"{module.get('loaded_version', module['version'])}\n"
    return found


PROGRAMS = {
    "dmesg": _dmesg,
    "modinfo": _modinfo,
    "lsmod": _lsmod,
    "dkms": _dkms,
    "systemctl": _systemctl,
    "lctl": _lctl,
    "nvidia-ctk": _nvidia_ctk,
}
