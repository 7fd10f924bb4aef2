# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The project's own rules: what each refuses, and what it lets through."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.tests.lint import evidence, role_docs, rules, support_page

Rule = Callable[[rules.Files], Iterator[rules.Violation]]
TASKS = "roles/slurm/tasks/main.yml"
MODULE = "plugins/modules/thing.py"
UTIL = "plugins/module_utils/thing.py"


def lines(rule: Rule, files: rules.Files) -> list[tuple[str, int]]:
    return [(violation.path, violation.line) for violation in rule(files)]


def test_a_violation_is_one_line_with_its_place_and_fix() -> None:
    assert str(rules.Violation("a/b.yml", 3, "it is wrong", "mend it")) == "a/b.yml:3: it is wrong; fix: mend it"


@pytest.mark.parametrize(
    "words",
    [
        "ignore_errors: true",
        "ignore_errors: '{{ careless }}'",
        "failed_when: false",
        'failed_when: "no"',
        "validate_certs: no",
        "validate_certs=false",
        "deb [trusted=yes] file:/mirror ./",
        "Trusted: yes",
        "gpgcheck=0",
        "gpgcheck: false",
        "cmd: systemctl stop slurmd || true",
        "cmd: rm x ||true",
        "cmd: rm x || :",
    ],
)
def test_what_hides_a_failure_is_refused(words: str) -> None:
    assert lines(rules.nothing_hides_a_failure, {TASKS: f"---\n{words}\n"}) == [(TASKS, 2)]


@pytest.mark.parametrize(
    "path", ["a/x.sh", "roles/a/templates/x.sh.j2", "packer/x.pkr.hcl", "x/Dockerfile", "Makefile"]
)
def test_failures_are_not_passed_over_in_scripts_and_templates(path: str) -> None:
    assert lines(rules.nothing_hides_a_failure, {path: "rm x || true\n"}) == [(path, 1)]


def test_failures_are_not_passed_over_in_a_script_without_an_ending() -> None:
    assert lines(rules.nothing_hides_a_failure, {".ci/run": "#!/bin/bash\nrm x || true\n"}) == [(".ci/run", 2)]


@pytest.mark.parametrize(
    "words",
    [
        "failed_when: r.rc > 1",
        "repo_gpgcheck=0",
        "gpgcheck=1",
        "cmd: a || truecrypt",
        "x || exit 1",
        "validate_certs: true",
    ],
)
def test_what_only_resembles_it_is_let_through(words: str) -> None:
    assert lines(rules.nothing_hides_a_failure, {TASKS: words}) == []


def test_python_may_ignore_errors_of_a_removal() -> None:
    module = "#!/usr/bin/python\nshutil.rmtree(path, ignore_errors=True)\n"
    assert lines(rules.nothing_hides_a_failure, {MODULE: module, "docs/a.md": "`ignore_errors: true` is refused"}) == []


@pytest.mark.parametrize(
    "words",
    [
        "curl -fsSL https://example.com/install | sh",
        "wget -qO- https://example.com | sudo -E bash -s",
        "curl -x \\\n  https://example.com \\\n  | bash",
        "bash <(curl https://example.com)",
        'sh -c "$(curl https://example.com)"',
    ],
)
@pytest.mark.parametrize("path", [TASKS, "README.md"])
def test_a_download_piped_into_a_shell_is_refused(path: str, words: str) -> None:
    assert lines(rules.nothing_is_piped_into_a_shell, {path: words}) == [(path, 1)]


@pytest.mark.parametrize(
    "words", ["curl -o file https://example.com; bash file", "curl x | sha256sum", "curl x\ncat | sh"]
)
def test_a_download_beside_a_shell_is_let_through(words: str) -> None:
    assert lines(rules.nothing_is_piped_into_a_shell, {TASKS: words}) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (TASKS, "---\nurl: https://efa-installer.amazonaws.com/x.tar.gz\n"),
        ("test_cases/a/b/Dockerfile", "FROM x\nRUN pip install --index-url http://download.pytorch.org/whl torch\n"),
        (MODULE, '"""Docs."""\nADDRESS = "https://pypi.org/simple"\n'),
        (MODULE, 'x = 1\ny = f"https://pypi.org/{x}"\n'),
        ("data/instance_types.yml", "---\nurl: https://pypi.org/simple # why\n"),
    ],
)
def test_an_address_outside_the_stack_is_refused(path: str, text: str) -> None:
    assert lines(rules.downloads_stand_in_the_stack, {path: text}) == [(path, 2)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("data/stack.yml", "url: https://pypi.org/simple"),
        ("docs/a.md", "https://pypi.org"),
        (TASKS, "a: b # https://pypi.org"),
        ("roles/a/templates/a.j2", "{# https://pypi.org #}"),
        ("data/instance_types.yml", "    fact_source: https://pypi.org"),
        ("schemas/a.schema.json", '  "$schema": "https://json-schema.org/draft/2020-12/schema",'),
        ("schemas/a.schema.json", '"pattern": "^https://"'),
        (MODULE, '"""See https://pypi.org."""\nDOCUMENTATION = "https://pypi.org"\n# https://pypi.org\n'),
        (MODULE, 'NAMESPACE = "http://www.w3.org/2000/svg"'),
        (TASKS, "url: http://169.254.169.254/latest/meta-data"),
        (TASKS, "url: https://mirror.example.com/x"),
        (TASKS, "url: https://{{ host }}/x"),
    ],
)
def test_an_address_from_which_nothing_is_downloaded_is_let_through(path: str, text: str) -> None:
    assert lines(rules.downloads_stand_in_the_stack, {path: text}) == []


@pytest.mark.parametrize("words", ["/root/x", "path=/home/me/.ssh/id", "'/Users/me/x'"])
def test_a_path_of_one_machine_is_refused(words: str) -> None:
    assert lines(rules.no_path_of_one_machine, {"tests/a.py": f"\n{words}"}) == [("tests/a.py", 2)]


@pytest.mark.parametrize(
    "words", ["/opt/root/x", "$HOME/home/x", "~/home/x", "./root/x", "{{ base }}/root/x", "/homestead/x"]
)
def test_a_folder_of_that_name_elsewhere_is_let_through(words: str) -> None:
    assert lines(rules.no_path_of_one_machine, {"tests/a.py": words}) == []


@pytest.mark.parametrize("path", [MODULE, UTIL, "roles/a/files/b.py"])
def test_newer_syntax_is_refused_where_a_target_runs_it(path: str) -> None:
    text = "match x:\n    case 1:\n        pass\n"
    found = list(rules.targets_need_python_39({path: text, "tests/a.py": text}))
    assert [violation.path for violation in found] == [path]
    assert "not Python 3.9" in found[0].what


def test_a_module_that_needs_a_package_is_refused() -> None:
    assert lines(rules.targets_need_no_packages, {MODULE: "import os\nimport yaml\n"}) == [(MODULE, 2)]


@pytest.mark.parametrize(
    "statement", [f"from {rules.MODULE_UTILS} import thing", f"from {rules.MODULE_UTILS}.thing import x"]
)
def test_a_package_is_refused_in_what_a_module_reaches(statement: str) -> None:
    other = "plugins/module_utils/other.py"
    files = {MODULE: statement, UTIL: f"from {rules.MODULE_UTILS}.other import y", other: "\nfrom yaml import z"}
    assert lines(rules.targets_need_no_packages, files) == [(other, 2)]


def test_what_stays_on_the_controller_may_need_packages() -> None:
    files = {MODULE: "from ansible.module_utils.basic import AnsibleModule", UTIL: "import yaml"}
    assert lines(rules.targets_need_no_packages, files) == []


def test_only_the_part_of_ansible_that_reaches_a_node_is_let_through() -> None:
    assert lines(rules.targets_need_no_packages, {MODULE: "from ansible.errors import AnsibleError"}) == [(MODULE, 1)]


@pytest.mark.parametrize("missing", ["DOCUMENTATION", "EXAMPLES", "RETURN"])
def test_an_undocumented_module_is_refused(missing: str) -> None:
    text = "".join(f'{name} = r"""x"""\n' for name in ("DOCUMENTATION", "EXAMPLES", "RETURN") if name != missing)
    assert [str(v) for v in rules.modules_are_documented({MODULE: text})] == [
        f"{MODULE}:1: {missing} is missing; fix: add {missing} before the imports"
    ]


def test_data_without_a_schema_is_refused() -> None:
    files = {"data/stack.yml": "", "data/launchers/local.yml": "", "test_cases/a/b/case.yml": ""}
    assert lines(rules.data_and_schemas_belong_together, files) == [(path, 1) for path in files]


def test_a_schema_without_data_is_refused() -> None:
    files = {"data/stack.yml": "", "schemas/stack.schema.json": "", "schemas/left.schema.json": ""}
    assert lines(rules.data_and_schemas_belong_together, files) == [("schemas/left.schema.json", 1)]


def test_a_claim_without_evidence_is_refused() -> None:
    readme = "It runs.\n<!-- evidence: local --> It trains. <!-- evidence: gpu -->\n```\nH100\n```\nOn one H200.\n"
    files = {"README.md": readme, "evidence/local.json": "{}"}
    assert lines(rules.claims_have_evidence, files) == [("README.md", 2), ("README.md", 6)]


ROW = {"schema": 1, "subject": "a", "ran_on": "b", "kind": "GPU", "command": "c", "date": "2026-11-24",
       "revision": "0a030e6", "result": "d", "shows": [{"what": ["a"], "systems": ["b"], "state": "ran"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "page", "place"),
    [
        (ROW, evidence.page({"one": ROW}), []),
        (ROW, evidence.page({}), [("docs/evidence.md", 1)]),
        ({**ROW, "revision": "newest"}, evidence.page({"one": ROW}), [("evidence/one.json", 1)]),
    ],
)
def test_evidence_is_well_formed_and_told(row: dict[str, Any], page: str, place: list[tuple[str, int]]) -> None:
    schema = (rules.ROOT / "schemas/evidence.schema.json").read_text()
    files = {"evidence/one.json": json.dumps(row), "docs/evidence.md": page, "schemas/evidence.schema.json": schema}
    assert lines(rules.evidence_is_told, files) == place


@pytest.mark.parametrize(
    ("what", "stale", "place"),
    [
        ("a", "", []),
        ("a", "An older page.", [("docs/support.md", 1)]),
        ("b", "", [("evidence/one.json", 1)]),
    ],
)
def test_the_support_page_tells_what_evidence_shows(what: str, stale: str, place: list[tuple[str, int]]) -> None:
    row = {**ROW, "shows": [{"what": [what], "systems": ["x"], "state": "ran"}]}
    files = {
        "evidence/one.json": json.dumps(row),
        "docs/evidence.md": evidence.page({"one": row}),
        "schemas/evidence.schema.json": (rules.ROOT / "schemas/evidence.schema.json").read_text(),
        "data/support.yml": "subjects: [{what: a}]",
    }
    files["docs/support.md"] = stale or support_page.page(files)
    assert lines(rules.evidence_is_told, files) == place


def test_a_readme_of_a_role_tells_its_variables() -> None:
    specs = "argument_specs: {main: {options: {x_a: {description: A., type: int}}}}"
    files = {"roles/x/meta/argument_specs.yml": specs, "roles/x/README.md": role_docs.told("# Role x\n", specs)}
    assert lines(rules.readmes_of_roles_tell_their_variables, files) == []
    files["roles/x/meta/argument_specs.yml"] = specs.replace("int", "str")
    assert lines(rules.readmes_of_roles_tell_their_variables, files) == [("roles/x/README.md", 1)]
    del files["roles/x/README.md"]
    assert lines(rules.readmes_of_roles_tell_their_variables, files) == [("roles/x/README.md", 1)]


def test_the_rules_see_the_project_but_not_what_others_wrote() -> None:
    files = rules.project_files()
    assert {"galaxy.yml", "data/stack.yml", "plugins/modules/run_plan.py", ".ci/run"} <= set(files)
    assert not {"requirements/dev.lock", "test_cases/lib/adt_train/text/python_reference.txt"} & set(files)
