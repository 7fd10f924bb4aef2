# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of variables in a role's README, from its argument specs."""

from __future__ import annotations

from ansible_collections.awsome.distributed_training.tests.lint import role_docs

SPECS = """
argument_specs:
  main:
    short_description: A thing
    options: &options
      thing_preinstalled:
        description: What is done; V(keep) keeps one that C(a|b) takes.
        type: str
        choices: [keep, replace]
        default: keep
      thing_nodes:
        description: [The nodes., "As slurm.conf(5) has them, C(f(x)) too."]
        type: list
        elements: dict
        required: true
        options:
          name: {description: Its name., type: str, required: true}
          port: {description: "Its port, see O(thing_preinstalled).", type: int}
      thing_words:
        description: Words.
        type: list
        elements: str
        default: []
      thing_on: {description: Whether., type: bool, default: true}
      thing_prefix: {description: Where., type: path, default: ""}
      thing_limits:
        description: Limits.
        type: dict
        options:
          core: {description: Size., type: str}
        default: {memlock: unlimited, nofile: 1048576}
  verify:
    short_description: Check it
    options: *options
"""
ROWS = """\
| variable | type | default | description |
|---|---|---|---|
| `thing_preinstalled` | str: `keep`, `replace` | `keep` | What is done; `keep` keeps one that `a\\|b` takes. |
| `thing_nodes` | list of dict | required | The nodes. As slurm.conf(5) has them, `f(x)` too. |
| `thing_nodes[].name` | str | required | Its name. |
| `thing_nodes[].port` | int | – | Its port, see `thing_preinstalled`. |
| `thing_words` | list of str | `[]` | Words. |
| `thing_on` | bool | `true` | Whether. |
| `thing_prefix` | path | `""` | Where. |
| `thing_limits` | dict | `{memlock: unlimited, nofile: 1048576}` | Limits. |
| `thing_limits.core` | str | – | Size. |
"""


def test_entry_points_that_take_the_same_have_one_table() -> None:
    told = role_docs.told("# Role thing\n", SPECS)
    assert told == (
        f"# Role thing\n\n{role_docs.BEGIN}\n\n## Variables of `main` and `verify`\n\n{ROWS}\n{role_docs.END}\n"
    )


def test_tables_that_are_there_are_replaced_where_they_stand() -> None:
    before, after = "# Role thing\n\nIt does.\n\n", "\n| file | does |\n"
    old = f"{before}{role_docs.BEGIN}\n\n## Variables\n\nOld.\n{role_docs.END}\n{after}"
    told = role_docs.told(old, SPECS)
    assert told.startswith(f"{before}{role_docs.BEGIN}\n")
    assert told.endswith(f"{role_docs.END}\n{after}")
    assert "Old" not in told
    assert role_docs.told(told, SPECS) == told


def test_entry_points_that_differ_have_a_table_each() -> None:
    specs = """
argument_specs:
  main: {options: {thing_a: {description: One., type: int}}}
  verify: {options: {thing_b: {description: Another., type: int}}}
  absent: {}
"""
    told = role_docs.told("# Role thing\n", specs)
    heads = [line for line in told.splitlines() if line.startswith("## ")]
    assert heads == ["## Variables", "## Variables of `verify`", "## Variables of `absent`"]
    assert "None." in told
