# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The page of a run: what it says, and what data cannot make it do."""

from __future__ import annotations

import base64
import hashlib
import html
import html.parser
import math
import re
import time
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import plots, report

VOID = {"meta", "br", "wbr"}
TAGS = VOID | {"html", "head", "title", "style", "body", "main", "header", "section", "h1", "h2", "h3", "p", "span",
               "strong", "small", "code", "pre", "div", "dl", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tr",
               "th", "td", "figure", "figcaption", "svg", "path", "line", "text"}  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>\"'`]]>--><img src=https://x onerror=alert(1)>&lt;\x00\x07\x1b[31mred\x1b[0m\u202e\ud800"
)


class Page(html.parser.HTMLParser):
    """A parsed page; raises where a tag is not closed, or is none of the page's own."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.source = text
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"path", "line"}
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def values(self, tag: str, name: str) -> list[str]:
        return [value for at, key, value in self.attributes if (at, key) == (tag, name)]

    def rows(self, heading: str) -> list[list[str]]:
        """The cells of the tables in a section, as text."""
        section = self.source.split(f"<h2>{heading}</h2>")[1].split("</section>")[0]
        rows = re.findall(r"<tr[^>]*>(.*?)</tr>", section, re.DOTALL)
        return [[_words(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]

    def figure(self, name: str) -> str:
        """A key figure with unit and note."""
        found = re.search(rf"<dt>{re.escape(name)}</dt>(.*?)</div>", self.source)
        assert found
        return _words(found.group(1))


def _words(markup: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", markup)).split())


def step(number: Any, loss: Any = 2.0, attempt: Any = 1, **more: Any) -> dict[str, Any]:
    return {
        "kind": "step",
        "attempt": attempt,
        "step": number,
        "steps": 40,
        "elapsed_s": 10.0 + number,
        "loss": loss,
        "step_time_s": 0.5,
        "tokens_per_s": 8192.0,
        "tokens_per_s_per_accelerator": 512.0,
        "mfu": 0.405,
        **more,
    }


def event(name: str, attempt: int = 1, **more: Any) -> dict[str, Any]:
    return {"kind": "event", "attempt": attempt, "elapsed_s": 50.0, "name": name, **more}


def check(check_id: str, verdict: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": check_id, "node": None, "value": value, "unit": "", "limit": None, "verdict": verdict,
            "reason": f"why {check_id}", "fix": "", **more}  # fmt: skip


def checkpoint(number: int, attempt: int = 1) -> dict[str, Any]:
    path = f"/fsx/step-{number:08d}"
    return {"kind": "checkpoint", "attempt": attempt, "elapsed_s": 30.0, "step": number, "path": path,
            "seconds": 2.5, "bytes": 9_600_000, "blocked_s": 0.25}  # fmt: skip


RESULT = {
    "schema": 1,
    "run_id": "20261123T200000Z-1a2b",
    "case": "fsdp",
    "preset": "tiny",
    "launcher": "slurm",
    "state": "completed",
    "attempts": 1,
    "nodes": 2,
    "world_size": 16,
    "instance_type": "p5en.48xlarge",
    "started": "2026-11-23T20:00:00Z",
    "ended": "2026-11-23T20:01:00Z",
    "revision": "4f2c9e1",
    "stack": {},
    "metrics": {"last_loss": 1.5, "eval_loss": 1.75, "tokens_per_s": 8192.0, "mfu": 0.405},
    "transport": "aws-ofi-nccl over EFA",
    "verdict": "pass",
}
PLAN = {
    "schema": 1,
    "run_id": "20261123T200000Z-1a2b",
    "case": {"name": "fsdp", "summary": "A model.", "framework": "pytorch", "path": "/cases/fsdp"},
    "preset": "tiny",
    "launcher": "slurm",
    "launcher_params": {"partition": "p5en"},
    "nodes": 2,
    "procs_per_node": 8,
    "world_size": 16,
    "accelerator": "cuda",
    "instance_type": "p5en.48xlarge",
    "parameters": {"seed": 1, "steps": 40, "lr": 0.001, "model": "tiny"},
    "defaults": {"seed": 1, "steps": 40, "lr": 0.003, "model": "large"},
    "changed_parameters": ["lr"],
    "steps": [{"name": "train", "start": "torchrun", "on": "all", "command": ["train.py", "--out=$ADT_RUN_DIR/a b"]}],
    "secrets": ["HF_TOKEN"],
    "environment": {"requirements": "../requirements"},
    "revision": "4f2c9e1",
}
CHECKS = [check("exit_status", "pass", 0), check("throughput", "skip", 512.0), check("held_out_loss", "pass", 1.75)]
METRICS = [*(step(n, 5.5 - n / 10) for n in range(40)), {"kind": "eval", "attempt": 1, "step": 40, "loss": 1.75}]
ENVIRONMENT = {"torch": "2.13.0", "efa": {"installer": "1.44.0"}, "hosts": ["a", "b"], "gdrcopy": None}
LOG = "step 0\nstep 39"


def render(
    lines: list[Any] | None = None,
    checks: list[dict[str, Any]] | None = None,
    plan: dict[str, Any] | None = None,
    log: str = LOG,
    **result: Any,
) -> Page:
    lines, checks = METRICS if lines is None else lines, CHECKS if checks is None else checks
    result = {**RESULT, **result}
    return Page(report.render_report(result, {**PLAN, **(plan or {})}, lines, checks, ENVIRONMENT, log))


def spoiled(value: Any) -> Any:
    """The same data with a hostile text in place of every text, and behind every name."""
    if isinstance(value, dict):
        return {
            f"{key}{HOSTILE if key in ('torch', 'efa', 'seed') else ''}": spoiled(one) for key, one in value.items()
        }
    if isinstance(value, list):
        return [spoiled(one) for one in value]
    return HOSTILE if isinstance(value, str) else value


def test_a_whole_run_is_told_from_headline_to_definitions() -> None:
    page = render()
    headings = re.findall("<h2>(.*?)</h2>", page.source)
    assert headings == [
        "Key figures",
        "Checks",
        "Training",
        "Attempts and events",
        "Plan",
        "Environment and versions",
        "End of the log",
        "What the numbers mean",
    ]
    assert page.text.startswith("fsdp tiny: pass (20261123T200000Z-1a2b) fsdp tiny ✓ pass completed A model.")
    assert page.figure("First loss") == "5.5 nats at step 0"
    assert page.figure("Held-out loss") == "1.75 nats at step 40"
    assert page.figure("Throughput") == "8,192 tokens/s median"
    assert page.figure("MFU") == "40.5 % median"
    assert page.figure("Step time, p95") == "0.5 s 19 of 20 are shorter"
    assert page.figure("Training time") == "49.0 s over all attempts"
    assert page.figure("Ranks") == "16 2 nodes × 8 processes"
    assert ["efa.installer", "1.44.0"] in page.rows("Environment and versions")
    assert ["gdrcopy", "not known"] in page.rows("Environment and versions")


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = render()
    assert not {name for _, name, _ in page.attributes} & {
        "src",
        "href",
        "style",
        "onload",
        "onerror",
        "action",
        "data",
    }
    assert "http" not in re.sub('http-equiv="Content-Security-Policy"', "", page.source)
    assert "url(" not in page.source
    assert "@import" not in page.source


def test_the_security_policy_allows_the_pages_own_style_alone() -> None:
    page = render()
    (style,) = re.findall("<style>(.*?)</style>", page.source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [value for value in page.values("meta", "content") if "src" in value]
    assert policy == f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{digest}'"


def test_hostile_text_everywhere_is_only_text() -> None:
    metrics = [
        *METRICS,
        event("resumed", message=HOSTILE, other=HOSTILE, step=3),
        event(HOSTILE, message=HOSTILE),
        event("error", message=HOSTILE, fix=HOSTILE),
        {**checkpoint(3), "path": HOSTILE},
        step(41, HOSTILE, tokens_per_s=HOSTILE, step_time_s=HOSTILE),
        {"kind": "step", "attempt": HOSTILE, "step": HOSTILE, "loss": HOSTILE},
    ]
    checks = [*spoiled(CHECKS), check("first_loss", "fail", HOSTILE, unit=HOSTILE, limit=HOSTILE, fix=HOSTILE)]
    text = report.render_report(spoiled(RESULT), spoiled(PLAN), metrics, checks, spoiled(ENVIRONMENT), HOSTILE)
    page = Page(text)
    assert text.encode("utf-8")
    assert "<script" not in text
    assert "<img" not in text
    assert "onerror" not in {name for _, name, _ in page.attributes}
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    assert page.text.count("<script>alert(1)</script>\"'`]]>--><img src=https://x onerror=alert(1)>&lt;") > 20


def test_a_secret_is_named_only() -> None:
    assert "Secrets, by name HF_TOKEN" in render().text


def test_the_log_loses_its_terminal_codes_and_keeps_its_lines() -> None:
    log = (
        "\x1b[1;32mready\x1b[0m <here>\n 10%|#   |\r100%|####|\n"
        "\x1b]8;;https://x\x07link\x1b]8;;\x07\r\n\x9b31mred\tend\x1b[?25h"
    )
    assert '<pre tabindex="0">ready &lt;here&gt;\n100%|####|\nlink\nred\tend</pre>' in render(log=log).source


def test_a_long_log_keeps_its_end() -> None:
    page = render(log="x" * 1_000_000 + "\nlast line")
    assert "last line</pre>" in page.source
    assert len(page.source) < 300_000


def test_empty_data_says_what_is_missing() -> None:
    page = Page(report.render_report({}, {}, [], [], {}, ""))
    for sentence in (
        "unnamed case ? no verdict state not known",
        "No check was made: nothing is proved.",
        "No loss to draw: the log holds no step or eval line with a loss.",
        "the log holds no step line with tokens_per_s",
        "No event and no checkpoint was told.",
        "There is no plan.",
        "Nothing is known of the nodes' environment.",
        "The log is empty.",
    ):
        assert sentence in page.text
    for figure in ("First loss", "Last loss", "Held-out loss", "MFU", "Throughput", "Step time", "Attempts", "Ranks"):
        assert page.figure(figure).startswith("not known")


def test_an_unknown_mfu_is_said_and_is_not_zero() -> None:
    metrics = [step(n, mfu=None) for n in range(5)]
    page = render(metrics, metrics={"mfu": None}, plan={"accelerator_model": "NVIDIA H200"})
    assert page.figure("MFU") == "not known no peak FLOP/s is known for NVIDIA H200"


def test_a_skip_is_neither_shown_nor_counted_as_a_pass() -> None:
    page = render()
    assert "Checks: 2 passed, 0 failed, 1 skipped." in page.text
    (row,) = [row for row in page.rows("Checks") if row[0] == "throughput"]
    assert row[1] == "– skip"
    assert '<span class="badge skip">– skip</span>' in page.source


def test_failed_checks_come_first_and_passed_ones_last() -> None:
    checks = [check("a", "pass"), check("b", "skip"), check("c", "fail"), check("d", "odd")]
    assert [row[0] for row in render(checks=checks, verdict="fail").rows("Checks")[1:]] == ["c", "d", "b", "a"]


def test_columns_that_no_row_fills_are_left_out() -> None:
    assert render().rows("Checks")[0] == ["Check", "Verdict", "Value", "Reason"]
    named = render(checks=[check("a", "pass", node="gpu-1")])
    assert named.rows("Checks")[0] == ["Check", "Verdict", "Node", "Reason"]


@pytest.mark.parametrize(
    ("result", "checks", "metrics", "told"),
    [
        ({"state": "failed"}, [check("exit_status", "fail", 2, fix="read it")],
         [event("error", message="no such file", fix="give data=")], ("no such file", "give data=")),
        ({"state": "failed"}, [check("exit_status", "fail", 1, fix="read it")], [],
         ("exit_status is 1: why exit_status", "read it")),
        ({"state": "failed"}, [check("exit_status", "fail", 1), check("finite_loss", "fail", "nan", fix="lower")], [],
         ("finite_loss: why finite_loss", "lower")),
        ({"state": "preempted"}, [check("exit_status", "fail", 75)], [],
         ("training saved and stopped on request", "run it again with -e run_id=r1")),
        ({"state": "running"}, [check("exit_status", "fail")], [],
         ("the run has not ended", "attach to it until it ends, with -e attach=r1")),
        ({"state": "cancelled"}, [], [], ("the run was cancelled", "-e run_id=r1 goes on from its newest checkpoint")),
        ({"state": "completed"}, [check("throughput", "skip")], [],
         ("no check passed, so nothing is proved", "give the case a check that judges this preset")),
    ],
    ids=["error-event", "failed-check", "nan-explains", "preempted", "running", "cancelled", "all-skipped"],
)  # fmt: skip
def test_a_run_that_did_not_pass_says_why_and_the_fix(
    result: dict[str, Any], checks: list[Any], metrics: list[Any], told: tuple[str, str]
) -> None:
    result = {"run_id": "r1", "verdict": "fail", **result}
    assert report.why_not_passed(result, checks, metrics) == told
    assert f"Why: {told[0]} Fix: {told[1]}" in render(metrics, checks, **result).text


def test_a_run_that_passed_needs_no_reason() -> None:
    assert report.why_not_passed({"verdict": "pass"}, [], [event("error", message="of an earlier attempt")]) is None
    assert "Why:" not in render().text


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf", math.nan, math.inf, 1e300])
def test_a_loss_that_cannot_be_drawn_is_shown(bad: Any) -> None:
    page = render([step(0, 5.0), step(1, bad), step(2, 4.0), step(3, bad)], metrics={})
    assert page.source.count("✕</text>") == 3  # two crosses and their legend
    assert "not a number" in page.text
    assert "2 of 4 points cannot be drawn" in page.text
    line = page.values("path", "d")[1]
    assert line.count("M") == 2  # the line breaks


def test_a_last_loss_of_nan_is_said_so() -> None:
    page = render([step(0, 5.0), step(1, "nan")], metrics={"last_loss": math.nan})
    assert page.figure("Last loss") == "NaN nats at step 1"
    assert '<dd class="bad">NaN' in page.source


def test_losses_that_are_all_nan_still_make_a_page() -> None:
    assert "3 of 3 points cannot be drawn" in render([step(n, "nan") for n in range(3)], metrics={}).text


def test_one_point_is_a_dot() -> None:
    page = render([step(0, 5.5)])
    assert "minimum 5.5, median 5.5, maximum 5.5, last 5.5 (1 point, step 0)" in page.text
    assert "training dots" in page.values("path", "class")


def test_every_plot_has_a_text_alternative_with_units() -> None:
    labels = render().values("svg", "aria-label")
    assert [label.split(".")[0] for label in labels] == [
        "Loss, in nats, over training steps",
        "Throughput, in tokens/s, all ranks together, over training steps",
        "Step time, in seconds per step, over training steps",
    ]
    assert "Training: minimum 1.6, median 3.55, maximum 5.5, last 1.6 (40 points, steps 0 to 39)." in labels[0]
    assert "Held-out: minimum 1.75" in labels[0]


def test_the_unit_of_loss_is_that_of_its_check() -> None:
    page = render(checks=[check("held_out_loss", "pass", 1.75, unit="nats/byte")])
    assert page.figure("Last loss") == "1.5 nats/byte at step 39"


def test_metrics_out_of_order_give_the_same_plots() -> None:
    training = "<h2>Training</h2>"
    in_order, backwards = render(METRICS), render(METRICS[::-1])
    assert backwards.source.split(training)[1] == in_order.source.split(training)[1]


def test_lines_without_their_keys_are_passed_over() -> None:
    odd: list[Any] = [None, "text", {}, {"kind": "other"}, {"kind": ["step"]}, {"kind": "step"}, {"kind": "eval"},
                      {"kind": "checkpoint"}, {"kind": "event"}, {"kind": "step", "step": True, "loss": None},
                      {"kind": "step", "step": "nan", "loss": {}}, {"kind": "step", "step": 1e300, "loss": 1},
                      {"kind": "step", "step": 10**400, "attempt": 10**400, "loss": 10**400}]  # fmt: skip
    page = render([*odd, *METRICS, *odd])
    assert "(40 points, steps 0 to 39)" in page.text
    assert "event without a name" in page.text


@pytest.mark.parametrize(
    "losses",
    [[0, 0], [0.0, 5e-324], [5e-324, 9e99], [-9e99, 9e99], [1.0, 1.0000000000000002], [1e-9, 1e-9], [-3, -3], [1, 1e6]],
)
def test_extreme_values_stay_inside_the_plot(losses: list[float]) -> None:
    page = render([step(10**14, losses[0]), *(step(n, losses[1]) for n in range(5))], metrics={})
    places = [float(value[:-1]) for _, name, value in page.attributes if name[:1] in "xy" and value.endswith("%")]
    drawn = [float(number) for path in page.values("path", "d") for number in re.findall(r"-?\d+\.\d", path)]
    assert places
    assert all(0 <= place <= 100 for place in places)
    assert all(0 <= number <= 1000 for number in drawn)


def test_one_slow_first_step_does_not_flatten_the_others() -> None:
    page = render([step(0, step_time_s=60.0), *(step(n) for n in range(1, 40))])
    assert "Step time, in seconds per step, logarithmic, over training steps" in page.values("svg", "aria-label")[2]


def resumed() -> list[dict[str, Any]]:
    return [
        *(step(n, 5.0) for n in range(26)),
        checkpoint(20),
        event("resumed", 2, step=20, message="from step-00000020"),
        *(step(n, 3.0, 2) for n in range(20, 40)),
        event("finished", 2),
    ]


def test_a_resumed_run_shows_its_attempts_and_where_they_overlap() -> None:
    page = render(resumed(), attempts=2)
    rows = page.rows("Attempts and events")
    assert rows[0] == ["Attempt", "Steps", "Time", "Last loss", "Ended"]
    assert rows[1] == ["1", "0 to 25", "35.0 s", "5", "without a word"]
    assert rows[2] == ["2", "20 to 39", "50.0 s", "3", "finished"]
    assert "Training: minimum 3, median 4, maximum 5, last 3 (40 points, steps 0 to 39)." in page.text
    assert (
        "Done again by a later attempt: minimum 5, median 5, maximum 5, last 5 (6 points, steps 20 to 25)." in page.text
    )
    assert page.figure("Training time") == "1 min 25 s over all attempts"


def test_vertical_marks_show_where_an_attempt_resumed_and_where_checkpoints_were_made() -> None:
    page = render(resumed())
    lines = re.findall(r'<line class="(resumed|checkpoint)" x1="([\d.]+%)" x2="\2" y1="(\d+%?)"', page.source)
    assert lines == [("resumed", "51.3%", "0"), ("checkpoint", "51.3%", "90%")] * 3
    assert all(name in page.text for name in ("Resumed", "Checkpoint"))


def test_an_attempt_that_told_nothing_is_marked_at_its_first_step() -> None:
    page = render([*(step(n) for n in range(20)), *(step(n, attempt=2) for n in range(10, 41))])
    assert '<line class="resumed" x1="25.0%"' in page.source


def test_checkpoints_tell_seconds_size_and_how_long_training_stood_still() -> None:
    rows = render(resumed()).rows("Attempts and events")
    assert [
        "1",
        "30.0 s",
        "20",
        "checkpoint",
        "2.5 s, 9.6 MB, training stood still for 0.25 s /fsx/step-00000020",
    ] in rows


def test_the_plan_shows_which_parameters_differ_and_who_set_them() -> None:
    page = render()
    rows = page.rows("Plan")
    assert rows[rows.index(["Parameter", "Value", "Case default", "Set by"]) + 1 :] == [
        ["lr", "0.001", "0.003", "params, unlike the preset"],
        ["model", "tiny", "large", "preset"],
        ["seed", "1", "1", "default"],
        ["steps", "40", "40", "default"],
    ]
    assert page.source.count('<tr class="differs">') == 2


def test_a_steps_command_is_shown_as_the_shell_reads_it() -> None:
    assert ["train", "torchrun", "all", "train.py --out=\"${ADT_RUN_DIR}\"'/a b'"] in render().rows("Plan")


def test_long_tables_and_long_texts_are_shortened_and_say_so() -> None:
    metrics = [event(f"event{n}", message="x" * 100_000 if n == 0 else "") for n in range(5000)]
    page = render(metrics)
    assert "4,600 rows are left out here" in page.text
    assert "event0" in page.text
    assert "event4999" in page.text
    assert "xxx…" in page.text
    assert len(page.source) < 200_000


def test_decimation_keeps_spikes_dips_and_ends() -> None:
    points = [(float(n), 2.0 + n % 7 / 100) for n in range(100_000)]
    points[51_234] = (51_234.0, 9.9)
    points[77_777] = (77_777.0, -9.9)
    kept = plots.decimate(points)
    assert {points[0], points[51_234], points[77_777], points[-1]} <= set(kept)
    assert kept == sorted(kept)
    assert len(kept) <= 4 * (plots.BUCKETS + 1)


def test_few_points_are_all_kept() -> None:
    points = [(float(n), 0.0) for n in range(1000)]
    assert plots.decimate(points) == points


@pytest.mark.parametrize("every", [0, 2], ids=["numbers", "every second one NaN"])
def test_a_hundred_thousand_steps_are_quick_small_and_keep_their_spike(every: int) -> None:
    metrics = [
        step(n, "nan" if every and n % every else 2 + n % 13 / 50, attempt=1 + n // 1000) for n in range(100_000)
    ]
    metrics[50_000]["loss"] = 77.75
    started = time.process_time()
    text = report.render_report(RESULT, PLAN, metrics, CHECKS, ENVIRONMENT, LOG)
    assert time.process_time() - started < 2
    assert len(text.encode()) < 2_000_000
    assert "maximum 77.75" in Page(text).text


def test_the_same_run_gives_the_same_page() -> None:
    assert render().source == render().source
