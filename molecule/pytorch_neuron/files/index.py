"""Stand-ins for torch and torch-neuronx: a Python index of wheels that import, and no more.

usage: index.py FOLDER     (their bytes follow from this text alone; stand-in.lock has their digests)
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

VERSIONS = {"torch": "2.9.0", "torch_neuronx": "2.9.0.2.13.24727"}


def wheel(folder: Path, name: str, version: str) -> None:
    """A wheel with one module, and its page in the index (PEP 427, PEP 503)."""
    about = f"{name}-{version}.dist-info"
    held = {
        f"{name}.py": f'"""Stand-in for {name}."""\n',
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: stand-in\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: stand-in\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    held[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in (*held, f"{about}/RECORD"))
    page = folder / name.replace("_", "-")
    page.mkdir(parents=True)
    file = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(page / file, "w", zipfile.ZIP_STORED) as archive:
        for path, text in held.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    (page / "index.html").write_text(f'<!DOCTYPE html><a href="{file}">{file}</a>\n')


if __name__ == "__main__":
    for wanted, at in VERSIONS.items():
        wheel(Path(sys.argv[1]), wanted, at)
