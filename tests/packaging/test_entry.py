"""The two ways into the play, each tried with --check, which shows the plan and changes nothing."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.awsome.distributed_training.tests import support


def shows_the_plan_and_changes_nothing(folder: Path, playbook: str, workplace: Path) -> None:
    before = support.files_under(folder)
    env = {"XDG_CACHE_HOME": str(workplace / "cache")}
    ran = support.play(["-e", "case=ddp", "--check"], folder, env, playbook=playbook)
    assert ran.returncode == 0, ran.stdout
    for line in ("preset: tiny", "launcher: local", "world_size: 2", "changed=0"):
        assert line in ran.stdout
    assert support.files_under(folder) == before
    assert not (workplace / "cache").exists()


def test_the_playbook_runs_by_its_path_from_its_own_folder(workplace: Path) -> None:
    shows_the_plan_and_changes_nothing(support.ROOT / "playbooks", "run_test_case.yml", workplace)


def test_the_playbook_runs_by_its_full_name_from_any_folder(workplace: Path) -> None:
    elsewhere = workplace / "elsewhere"
    elsewhere.mkdir()
    shows_the_plan_and_changes_nothing(elsewhere, support.PLAYBOOK, workplace)
