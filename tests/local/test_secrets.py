"""A secret never enters what a run writes or shows: two canaries, one that the case lists and one that it does not."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases

SCRIPT = """
import json, os
print("token of", len(os.environ["MY_TOKEN"]), "characters")
print("unlisted:", [name for name in os.environ if name.startswith("MY_OTHER")])
print("ADT_METRIC", json.dumps({"kind": "eval", "attempt": 1, "step": 1, "loss": 1.0}))
"""


def test_no_secret_is_shown_or_written(workplace: Path) -> None:
    listed, unlisted = (f"canary-{secrets.token_hex(16)}" for _ in range(2))
    temporary = workplace / "tmp"
    temporary.mkdir()
    cases.write_case(workplace / "secretive", SCRIPT, secrets=["MY_TOKEN"])
    env = {
        "MY_TOKEN": listed,
        "MY_OTHER_TOKEN": unlisted,
        # what Ansible itself writes on the way, and would remove
        "ANSIBLE_LOCAL_TEMP": str(temporary),
        "ANSIBLE_REMOTE_TMP": str(temporary),
        "ANSIBLE_KEEP_REMOTE_FILES": "1",
        "ANSIBLE_LOG_PATH": str(workplace / "ansible.log"),
    }
    ran = support.play(["-vvv", "-e", "case=./secretive"], workplace, env)
    assert ran.returncode == 0, ran.stdout
    run = support.latest_run(workplace, "secretive")

    log = (run / "log.txt").read_text()
    assert f"token of {len(listed)} characters" in log
    assert "unlisted: []" in log
    assert "MY_TOKEN" in (run / "plan.yml").read_text()

    written = {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()}
    for name in ("job.sh", "job.json", "log.txt", "metrics.jsonl", "plan.yml", "report.html", "result.json"):
        assert run / name in written
    assert any("AnsiballZ" in path.name for path in written), "Ansible's own files were looked at too"
    for value in (listed, unlisted):
        assert value not in ran.stdout
        assert [str(path) for path, text in written.items() if value.encode() in text] == []
    assert value_in_no_command_line(listed)
    assert value_in_no_command_line(unlisted)


def value_in_no_command_line(value: str) -> bool:
    """No process that runs now was given the value as a word."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path("/proc", pid, "cmdline").read_bytes()
        except OSError:
            continue
        if value.encode() in words:
            return False
    return True
