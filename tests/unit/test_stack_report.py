# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""make stack-report: each way of verifying is counted apart, and docs/stack.md is what the catalogue gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, stack_report
from ansible_collections.awsome.distributed_training.plugins.module_utils.stack_report import Address
from ansible_collections.awsome.distributed_training.tests.lint import stack_report as script

ROOT = Path(controller.ROOT)
STACK = controller.read_catalogue("stack")
SIGNER, DIGEST = "A" * 40, "0" * 64
OF_THE_OS = [{"os": ["debian12"], "packages": {"linux": "6.1"}}]
BASE = {"url": "https://example.com/apt", "signer": SIGNER, "verified_from": "code(3), two of them distributions"}
KEY = {"url": "https://example.com/key", "signer": SIGNER, "verified_from": "https://example.com/guide"}
DOCUMENT: dict[str, Any] = {
    "default": "long_term",
    "stacks": {
        "long_term": {
            "summary": "long",
            "components": {"tool": "1", "kernel": {"debian12": "6.1"}},
            "left_out": {"tool": {"debian13": "it has no | repository there"}},
        },
        "newest": {"summary": "new", "components": {"tool": "2"}},
    },
    "components": {
        "tool": {
            "summary": "A tool",
            "licence": "MIT",
            "versions": {
                "1": {
                    "fact_source": "a page",
                    "bundles": {"inner": "7"},
                    "repositories": [{"os": ["debian12"], "base": BASE, "key": KEY, "packages": {"tool": "1"}}],
                },
                "2": {
                    "fact_source": "a tag",
                    "files": [
                        {"file": {"url": "https://example.com/2.tar", "sha256": DIGEST, "verified_from": "calculated"}},
                        {"arch": ["aarch64"], "file": {"url": "https://example.com/2.arm", "unverified": "none found"}},
                    ],
                    "repositories": [{"os": ["debian12"], "base": BASE, "key": KEY, "packages": {"tool": "2"}}],
                },
            },
        },
        "inner": {"summary": "Inside", "licence": "MIT", "versions": {}},
        "kernel": {
            "summary": "Linux",
            "licence": "GPL-2.0-only",
            "versions": {"6.1": {"fact_source": "Debian", "system": OF_THE_OS}},
        },
    },
}


def test_every_address_is_told_with_what_vouches_for_it() -> None:
    assert stack_report.addresses(DOCUMENT)[2:] == [
        Address("tool", "2", "file", "https://example.com/2.tar", "calculated", "calculated"),
        Address("tool", "2", "file", "https://example.com/2.arm", "unverified", "none found"),
        Address("tool", "2", "repository", "https://example.com/apt", "code(n)", BASE["verified_from"]),
        Address("tool", "2", "key", "https://example.com/key", "recipe", "https://example.com/guide"),
    ]


def test_the_report_counts_each_way_apart_and_gives_the_reasons() -> None:
    lines = stack_report.report(DOCUMENT).splitlines()
    assert lines == [
        "3 components, 3 versions; files, signatures, keys, repositories, images:",
        "verified       5  recipe 2, code(n) 2, calculated 1",
        "unverified     1",
        "total          6",
        "different addresses: verified 3 (recipe 1, code(n) 1, calculated 1), unverified 1, total 4",
        "unverified: none found",
        "  tool 2: file https://example.com/2.arm",
    ]


def test_a_report_of_overrides_says_so() -> None:
    assert stack_report.report({**DOCUMENT, "overridden": True}).startswith("stack_overrides takes part\n3 components")


def test_the_report_counts_every_map_with_an_address_once() -> None:
    def count(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return ("url" in value if isinstance(value, dict) else 0) + sum(map(count, inner))

    told = re.search(r"^total +(\d+)$", stack_report.report(STACK), re.MULTILINE)
    assert told is not None
    assert int(told[1]) == count(STACK) > 100


def test_one_address_is_vouched_for_in_one_way() -> None:
    ways: dict[str, set[tuple[str, str]]] = {}
    for address in stack_report.addresses(STACK):
        ways.setdefault(address.url, set()).add((address.how, address.source))
    assert {url: said for url, said in ways.items() if len(said) > 1} == {}


@pytest.mark.parametrize(
    "line",
    [
        "- `long_term` (default): long",
        "| kernel | 6.1 (debian12) | – |",
        "| inner | 7 (amazon2023, debian12, ubuntu2204, ubuntu2404) | – |",
        "| tool | 1 (amazon2023, debian12, ubuntu2204, ubuntu2404) | 2 |",
        "| tool | long_term | debian13 | it has no \\| repository there |",
        "| unverified | 1 | 1 |",
        "- tool 2: none found",
        "A tool. Licence: MIT.",
        "| 1 | `example.com` | debian12 | recipe 1, code(n) 1 | a page |",
        "| 6.1 | the OS | debian12 | the OS's own keys | Debian |",
        "Inside tool 1: 7.",
    ],
)
def test_the_page_tells(line: str) -> None:
    assert line in stack_report.page(DOCUMENT).splitlines()


def test_the_page_in_docs_is_what_the_catalogue_gives() -> None:
    assert (ROOT / script.PAGE).read_text(encoding="utf-8") == stack_report.page(STACK), "make stack-report"


def test_overrides_are_reported_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = tmp_path / "overrides.yml"
    overrides.write_text("components: {torch: {summary: other}}\n")
    page = (ROOT / script.PAGE).read_text()
    monkeypatch.setattr("sys.argv", ["stack_report.py", f"--overrides={overrides}"])
    assert script.main() == 0
    assert capsys.readouterr().out.startswith("stack_overrides takes part\n")
    assert (ROOT / script.PAGE).read_text() == page


def test_bad_overrides_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = tmp_path / "overrides.yml"
    overrides.write_text("component: {}\n")
    monkeypatch.setattr("sys.argv", ["stack_report.py", f"--overrides={overrides}"])
    assert script.main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("stack_overrides: key component: no such key; fix: did you mean components?")
