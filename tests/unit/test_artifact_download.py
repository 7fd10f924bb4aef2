"""Downloads from a server on this machine that breaks off, redirects, and serves what it should not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import artifact_download as download
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import Artifact
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.tests.mirror.origins import Origin, origin

DATA = os.urandom(3 * (1 << 20) + 17)
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Iterator[Origin]:
    with origin() as served:
        served.files["big"] = DATA
        yield served


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / ".file.part"


def options(**settings: object) -> download.Options:
    return download.Options(sleep=lambda seconds: None, timeout_s=5, **settings)  # type: ignore[arg-type]


def bring(server: Origin, partial: Path, sha256: str = DIGEST, path: str = "big", keep: bool = False) -> download.Proof:
    artifact = Artifact(server.url(path), sha256=sha256)
    return download.bring(artifact, str(partial), options(attempts=2), keep_partial=keep)


def test_a_file_comes_as_it_is(server: Origin, partial: Path) -> None:
    proof = bring(server, partial)
    assert (proof.sha256, proof.size, proof.verified) == (DIGEST, len(DATA), "digest")
    assert partial.read_bytes() == DATA
    assert partial.stat().st_mode & 0o777 == 0o600


def test_what_breaks_off_is_gone_on_with(server: Origin, partial: Path) -> None:
    server.cuts["big"] = 1_000_000
    assert bring(server, partial).sha256 == DIGEST
    assert server.asked == ["GET big", *(f"GET big from {part}000000" for part in (1, 2, 3))]


def test_what_an_earlier_call_left_is_gone_on_with(server: Origin, partial: Path) -> None:
    partial.write_bytes(DATA[:2_000_000])
    assert bring(server, partial).sha256 == DIGEST
    assert server.asked == ["GET big from 2000000"]


def test_a_leftover_of_something_else_is_thrown_away(server: Origin, partial: Path) -> None:
    partial.write_bytes(b"x" * 2_000_000)
    assert bring(server, partial).sha256 == DIGEST
    assert server.asked == ["GET big from 2000000", "GET big"]


def test_a_leftover_that_is_longer_than_the_file_is_thrown_away(server: Origin, partial: Path) -> None:
    partial.write_bytes(DATA + b"more")
    assert bring(server, partial).sha256 == DIGEST


def test_a_server_without_ranges_sends_it_again(server: Origin, partial: Path) -> None:
    server.ranges = False
    partial.write_bytes(DATA[:2_000_000])
    assert bring(server, partial).sha256 == DIGEST


def test_a_busy_server_is_asked_again(server: Origin, partial: Path) -> None:
    server.busy["big"] = 1
    assert bring(server, partial).sha256 == DIGEST


@pytest.mark.parametrize("at", [0, len(DATA) // 2, len(DATA) - 1])
def test_one_flipped_byte_is_refused_and_nothing_stays(server: Origin, partial: Path, at: int) -> None:
    server.files["big"] = DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]
    served = hashlib.sha256(server.files["big"]).hexdigest()
    with pytest.raises(TrainingError) as refused:
        bring(server, partial)
    assert str(refused.value) == (
        f"{server.url('big')} has sha256 {served}, and {DIGEST} is stated; "
        "fix: do not use it; see whether its origin or the mirror was changed"
    )
    assert not partial.exists()


def test_a_download_that_stays_cut_short_is_refused_and_nothing_stays(server: Origin, partial: Path) -> None:
    server.ranges, server.cuts["big"] = False, 1000
    with pytest.raises(
        TrainingError, match=rf"^{server.url('big')} is cut short: 1000 of {len(DATA)} bytes came; fix: "
    ):
        bring(server, partial)
    assert not partial.exists()


def test_a_download_that_broke_off_may_be_kept_for_the_next_run(server: Origin, partial: Path) -> None:
    server.ranges, server.cuts["big"] = False, 1000
    with pytest.raises(TrainingError, match="is cut short"):
        bring(server, partial, keep=True)
    assert partial.read_bytes() == DATA[:1000]


def test_a_missing_file_is_refused_at_once(server: Origin, partial: Path) -> None:
    with pytest.raises(TrainingError, match=rf"^{server.url('small')}: 404 Not Found; fix: "):
        bring(server, partial, path="small")
    assert server.asked == ["GET small"]
    assert not partial.exists()


def test_a_server_that_is_not_there_is_named(partial: Path) -> None:
    with origin() as gone:
        pass
    with pytest.raises(TrainingError, match=rf"^{gone.url('big')} cannot be reached: Connection refused; fix: "):
        bring(gone, partial)


def test_a_redirect_within_the_host_is_followed(server: Origin, partial: Path) -> None:
    server.redirects["latest"] = server.url("big")
    assert bring(server, partial, path="latest").sha256 == DIGEST


def test_a_redirect_to_another_host_is_refused_before_that_host_is_asked(server: Origin, partial: Path) -> None:
    with origin("127.0.0.2") as other:
        other.files["big"] = DATA
        server.redirects["elsewhere"] = other.url("big")
        with pytest.raises(TrainingError) as refused:
            bring(server, partial, path="elsewhere")
        assert other.asked == []
        assert f"redirects to another host, {other.address[7:]}; fix: use artifact_mirror; or" in str(refused.value)
        assert not partial.exists()
        named = options(redirects={server.address[7:]: [other.address[7:]]})
        artifact = Artifact(server.url("elsewhere"), sha256=DIGEST)
        assert download.bring(artifact, str(partial), named).sha256 == DIGEST


def test_a_file_that_is_larger_than_expected_is_refused(server: Origin, partial: Path) -> None:
    with pytest.raises(TrainingError, match=f"has {len(DATA)} bytes, and at most 1000 are expected"):
        download.fetch(server.url("big"), str(partial), options(), most=1000)


def test_a_full_disk_is_seen_before_the_first_byte(
    server: Origin, partial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "free_bytes", lambda path: 1000)
    with pytest.raises(TrainingError) as refused:
        bring(server, partial)
    needed = f"{server.url('big')} needs {len(DATA)} bytes more, and 1000 are free"
    assert str(refused.value).startswith(f"the disk of {partial.parent} is full: {needed}; fix: ")
    assert not partial.exists()


def test_a_folder_of_files_is_a_mirror(tmp_path: Path, partial: Path) -> None:
    kept = tmp_path / "mirror/vendor.example/dir/big"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(DATA)
    artifact = Artifact("https://vendor.example/dir/big", sha256=DIGEST)
    assert download.bring(artifact, str(partial), options(), str(tmp_path / "mirror")).size == len(DATA)
    kept.unlink()
    with pytest.raises(TrainingError, match=r"/mirror/vendor\.example/dir/big: there is no such file; fix: "):
        download.bring(artifact, str(partial), options(), str(tmp_path / "mirror"))


def test_progress_tells_bytes_and_the_whole(server: Origin, partial: Path) -> None:
    told: list[tuple[int, int | None]] = []
    heard = options(progress=lambda have, whole: told.append((have, whole)))
    download.fetch(server.url("big"), str(partial), heard)
    assert told[-1] == (len(DATA), len(DATA))
    assert [have for have, _ in told] == sorted(have for have, _ in told)


def test_the_size_is_asked_for_without_the_file(server: Origin) -> None:
    assert download.size_of(server.url("big"), options()) == len(DATA)
    assert server.asked == ["HEAD big"]
    with pytest.raises(TrainingError, match="404 Not Found"):
        download.size_of(server.url("small"), options())


def test_a_size_that_the_server_keeps_to_itself_is_not_known(server: Origin) -> None:
    server.heads = False
    assert download.size_of(server.url("big"), options()) is None


def test_a_link_in_place_of_the_partial_file_is_not_followed(server: Origin, partial: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    partial.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        download.fetch(server.url("big"), str(partial), options())
    assert victim.read_text() == "as it was"
