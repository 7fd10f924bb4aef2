# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A run as one page: report.html, which loads nothing and runs nothing."""

from __future__ import annotations

import base64
import hashlib
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Callable

from ansible_collections.awsome.distributed_training.plugins.module_utils.adt_metrics import (
    KINDS,
    Metric,
    first_error,
    is_finite,
    summarize,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.plots import (
    Marks,
    Series,
    clean,
    escaped,
    plot,
    quantity,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.shell import shell_words
from ansible_collections.awsome.distributed_training.plugins.module_utils.values import as_text

Check = Mapping[str, Any]

Row = tuple[str, list[str]]
"""CSS class, and cells in markup."""

LONGEST_LOG = 200_000
"""Characters of the log's end that a report holds."""

LONGEST_TABLE = 400
"""Rows of a table; of a longer one the middle is left out."""


def render_report(
    result: dict[str, Any],
    plan: dict[str, Any],
    metrics: list[Metric],
    checks: list[dict[str, Any]],
    environment: dict[str, Any],
    log_tail: str,
) -> str:
    """The page of a run as text to write in UTF-8. Pure; whatever is missing is said, and all data is escaped.

    :param result: what result.json holds.
    :param metrics: the run's metric lines, in any order.
    :param environment: versions and facts of the nodes; may be nested.
    :param log_tail: the end of the log, terminal codes and all.
    """
    run = _Run(result, plan, metrics, checks)
    case = f"{run.case} {escaped(result.get('preset') or '')}".rstrip()
    verdict = escaped(result.get("verdict") or "no verdict")
    sections = [
        _headline(run),
        _section("Key figures", _key_figures(run)),
        _section("Checks", _checks(checks)),
        _section("Training", _plots(run)),
        _section("Attempts and events", _attempts(run) + _timeline(run)),
        _section("Plan", _plan(run)),
        _section("Environment and versions", _environment(environment)),
        _section("End of the log", _log(log_tail)),
        _section("What the numbers mean", _DEFINITIONS),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_SECURITY_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{case}: {verdict} ({escaped(result.get('run_id') or 'no run id')})</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n" + "\n".join(sections) + "\n</main>\n</body>\n</html>\n"
    )


def why_not_passed(result: Mapping[str, Any], checks: Sequence[Check], metrics: list[Metric]) -> tuple[str, str] | None:
    """Why a run did not pass, and the fix, one line each; None for a run that passed."""
    if result.get("verdict") == "pass":
        return None
    run_id, state = result.get("run_id"), result.get("state")
    if state == "running":
        return "the run has not ended", f"attach to it until it ends, with -e attach={run_id}"
    if state == "preempted":
        return "training saved and stopped on request", f"run it again with -e run_id={run_id}"
    if state == "cancelled":
        return "the run was cancelled", f"-e run_id={run_id} goes on from its newest checkpoint"
    error = first_error(metrics)
    if error:
        return str(error.get("message") or "training told of an error"), str(
            error.get("fix") or "read the end of the log"
        )
    failures = [check for check in checks if check.get("verdict") == "fail"]
    if failures:
        # a loss that is not a number explains the exit status that followed
        failed = next((check for check in failures if _is_not_a_number(check.get("value"))), failures[0])
        value, unit = failed.get("value"), failed.get("unit") or ""
        told = "" if value is None or _is_not_a_number(value) else f" is {quantity(value)} {unit}".rstrip()
        return f"{failed.get('id')}{told}: {failed.get('reason')}", str(failed.get("fix") or "read the end of the log")
    if not any(check.get("verdict") == "pass" for check in checks):
        return "no check passed, so nothing is proved", "give the case a check that judges this preset"
    return "the run has no verdict", "read the end of the log"


class _Run:
    """What several parts of the page show."""

    def __init__(
        self, result: Mapping[str, Any], plan: Mapping[str, Any], metrics: Iterable[Any], checks: Sequence[Check]
    ) -> None:
        self.result, self.plan, self.checks = result, plan, checks
        self.metrics = _cleaned(metrics)
        self.case = escaped(result.get("case") or (plan.get("case") or {}).get("name") or "unnamed case")
        told = {key: value for key, value in (result.get("metrics") or {}).items() if value is not None}
        self.summary: dict[str, Any] = {**summarize(self.metrics), **told}
        kept: dict[float, Metric] = {}
        self.redone: list[Metric] = []
        for metric in self.of_kind("step"):
            if metric["step"] in kept:
                self.redone.append(kept[metric["step"]])
            kept[metric["step"]] = metric
        self.steps = sorted(kept.values(), key=_step)
        self.redone.sort(key=_step)
        self.evals = sorted({metric["step"]: metric for metric in self.of_kind("eval")}.values(), key=_step)
        self.attempts: dict[int, list[Metric]] = {}
        for metric in self.metrics:
            self.attempts.setdefault(metric["attempt"], []).append(metric)
        units = {check.get("id"): check.get("unit") for check in checks}
        self.loss_unit = clean(
            units.get("held_out_loss") or units.get("first_loss") or units.get("last_loss") or "nats"
        )

    def of_kind(self, kind: str) -> list[Metric]:
        """The lines of a kind that have a step."""
        return [metric for metric in self.metrics if metric["kind"] == kind and "step" in metric]


_NUMBERS = frozenset(
    {"step", "steps", "loss", "elapsed_s", "step_time_s", "tokens_per_s", "tokens_per_s_per_accelerator", "mfu"}
    | {"seconds", "bytes", "blocked_s"}
)

_LAST_STEP = 1e15
"""A step past this is no step."""


def _cleaned(metrics: Iterable[Any]) -> list[Metric]:
    """The lines that can be shown, by attempt; what should be a number is one, or is left out."""
    cleaned: list[Metric] = []
    for metric in metrics:
        if not isinstance(metric, dict) or metric.get("kind") not in KINDS:
            continue
        line = dict(metric)
        for key in _NUMBERS.intersection(metric):
            if type(metric[key]) is not float:
                line[key] = _number(metric[key])
                if line[key] is None:
                    del line[key]
        if not -_LAST_STEP < line.get("step", 0) < _LAST_STEP:
            del line["step"]
        attempt = _number(metric.get("attempt"))
        line["attempt"] = int(attempt) if attempt is not None and is_finite(attempt) else 1
        cleaned.append(line)
    return sorted(cleaned, key=itemgetter("attempt"))


def _number(value: Any) -> float | None:
    """Numbers, and the texts that stand for NaN and infinity in metric lines."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf


def _step(metric: Metric) -> float:
    return float(metric["step"])


def _headline(run: _Run) -> str:
    result, plan = run.result, run.plan
    preset, state = result.get("preset") or plan.get("preset") or "", result.get("state") or "state not known"
    title = f'<h1>{run.case} <span class="preset">{escaped(preset)}</span></h1>'
    verdict = _verdict(str(result.get("verdict") or "no verdict"))
    badges = f'{verdict} <span class="badge state">{escaped(state)}</span>'
    summary = (plan.get("case") or {}).get("summary")
    lines = [f'<p class="summary">{escaped(summary)}</p>' if summary else ""]
    why = why_not_passed(result, run.checks, run.metrics)
    if why:
        lines.append(
            f'<p class="why"><strong>Why:</strong> {escaped(why[0])}<br><strong>Fix:</strong> {escaped(why[1])}</p>'
        )
    counts = [(sum(check.get("verdict") == word for check in run.checks), word) for word in ("pass", "fail", "skip")]
    told = {"pass": "passed", "fail": "failed", "skip": "skipped"}
    lines.append(f"<p>Checks: {', '.join(f'{count} {told[word]}' for count, word in counts)}.</p>")
    accelerator = plan.get("accelerator_model") or result.get("instance_type") or plan.get("accelerator")
    facts = [
        ("run", result.get("run_id")),
        ("launcher", result.get("launcher")),
        ("on", accelerator),
        ("started", result.get("started")),
        ("ended", result.get("ended")),
        ("revision", result.get("revision")),
    ]
    lines.append(f'<p class="facts">{" · ".join(f"{name} {escaped(value)}" for name, value in facts if value)}</p>')
    return f"<header>\n{title}\n<p>{badges}</p>\n" + "\n".join(line for line in lines if line) + "\n</header>"


def _key_figures(run: _Run) -> str:
    summary, plan = run.summary, run.plan
    times = sorted(metric["step_time_s"] for metric in _steady(run.steps))
    spent = [_elapsed(metrics) for metrics in run.attempts.values()]
    trained = sum(seconds for seconds in spent if seconds is not None) if any(spent) else None
    ranks = run.result.get("world_size") or plan.get("world_size")
    nodes, processes = run.result.get("nodes") or plan.get("nodes"), plan.get("procs_per_node")
    shape = f"{quantity(nodes)} node{'' if nodes == 1 else 's'}" if nodes else ""
    shape += f" × {quantity(processes)} processes" if shape and processes else ""
    where = plan.get("accelerator_model") or plan.get("instance_type") or plan.get("accelerator") or "this hardware"
    mfu = summary["mfu"]
    attempts = run.result.get("attempts") or len(run.attempts) or None
    figures = [
        ("First loss", summary["first_loss"], run.loss_unit, _at_step(run.steps[:1])),
        ("Last loss", summary["last_loss"], run.loss_unit, _at_step(run.steps[-1:])),
        ("Held-out loss", summary["eval_loss"], run.loss_unit, _at_step(run.evals[-1:])),
        ("MFU", mfu * 100 if is_finite(mfu) else mfu, "%", "median"),
        ("Throughput", summary["tokens_per_s"], "tokens/s", "median"),
        ("Per accelerator", summary["tokens_per_s_per_accelerator"], "tokens/s", "median"),
        ("Step time", statistics.median(times) if times else None, "s", "median"),
        ("Step time, p95", times[math.ceil(len(times) * 0.95) - 1] if times else None, "s", "19 of 20 are shorter"),
        ("Training time", None if trained is None else _duration(trained), "", "over all attempts"),
        ("Attempts", attempts, "", ""),
        ("Ranks", ranks, "", shape),
    ]
    reasons = {
        "MFU": f"no peak FLOP/s is known for {where}",
        "Held-out loss": "no eval line",
        "Attempts": "",
        "Ranks": "",
    }
    cards = []
    for name, value, unit, note in figures:
        if value is None:
            value, unit, style, note = "not known", "", ' class="unknown"', reasons.get(name, "no step line tells")
        else:
            style = ' class="bad"' if _is_not_a_number(value) else ""
        unit = f" <small>{escaped(unit)}</small>" if unit else ""
        cards.append(
            f"<div><dt>{name}</dt><dd{style}>{escaped(quantity(value))}{unit}</dd><dd>{escaped(note)}</dd></div>"
        )
    return f'<dl class="figures">{"".join(cards)}</dl>'


def _steady(steps: list[Metric]) -> list[Metric]:
    """The timed steps after the first tenth, which holds compilation and cold caches."""
    timed = [metric for metric in steps if is_finite(metric.get("step_time_s"))]
    return timed[len(timed) // 10 :]


def _elapsed(metrics: list[Metric]) -> float | None:
    """Seconds from the start of an attempt to its last line."""
    return max((metric["elapsed_s"] for metric in metrics if is_finite(metric.get("elapsed_s"))), default=None)


def _at_step(metrics: list[Metric]) -> str:
    return f"at step {quantity(metrics[0]['step'])}" if metrics else ""


def _is_not_a_number(value: Any) -> bool:
    number = _number(value)
    return number is not None and not math.isfinite(number)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _checks(checks: Sequence[Check]) -> str:
    order = {"fail": 0, "skip": 1, "pass": 2}

    def word(check: Check) -> str:
        return str(check.get("verdict") or "no verdict")

    def row(check: Check) -> Row:
        return f"check-{word(check)}" if word(check) in order else "", [
            f"<code>{escaped(check.get('id') or 'no id')}</code>",
            _verdict(word(check)),
            *(_text(check.get(key)) for key in ("node", "value", "unit", "limit", "reason", "fix")),
        ]

    heads = ["Check", "Verdict", "Node", "Value", "Unit", "Limit", "Reason", "Fix"]
    worst_first = sorted(checks, key=lambda check: order.get(word(check), 0))
    return _table(heads, worst_first, row, "No check was made: nothing is proved.")


def _plots(run: _Run) -> str:
    redone = "Done again by a later attempt"
    starts = [
        Marks("Resumed", "resumed", _resumed_at(run), tall=True),
        Marks("Checkpoint", "checkpoint", [metric["step"] for metric in run.of_kind("checkpoint")]),
    ]
    loss = plot(
        "Loss",
        run.loss_unit,
        [
            Series("Training", "training", _points(run.steps, "loss")),
            Series("Held-out", "held-out", _points(run.evals, "loss")),
            Series(redone, "redone", _points(run.redone, "loss"), joined=False),
        ],
        starts,
        missing="No loss to draw: the log holds no step or eval line with a loss.",
    )
    others = [
        plot(
            title,
            unit,
            [
                Series(name, "training", _points(run.steps, key)),
                Series(redone, "redone", _points(run.redone, key), joined=False),
            ],
            starts,
            missing=f"Nothing to draw: the log holds no step line with {key}.",
            from_zero=True,
        )
        for title, name, unit, key in (
            ("Throughput", "Tokens per second", "tokens/s, all ranks together", "tokens_per_s"),
            ("Step time", "Step time", "seconds per step", "step_time_s"),
        )
    ]
    return loss + "".join(others)


def _points(metrics: list[Metric], key: str) -> list[tuple[float, float]]:
    return [(metric["step"], metric[key]) for metric in metrics if key in metric]


def _resumed_at(run: _Run) -> list[float]:
    """Where each later attempt went on: its `resumed` event's step, else its first step."""
    told = {m["attempt"]: m["step"] for m in run.of_kind("event") if m.get("name") == "resumed"}
    for metric in sorted(run.of_kind("step"), key=_step):
        if metric["attempt"] > min(run.attempts):
            told.setdefault(metric["attempt"], metric["step"])
    return list(told.values())


def _attempts(run: _Run) -> str:
    """One row per attempt, where there are several."""
    if len(run.attempts) < 2:
        return ""

    def row(attempt: tuple[int, list[Metric]]) -> Row:
        number, metrics = attempt
        steps = [metric for metric in metrics if metric["kind"] == "step" and "step" in metric]
        reached = [metric["step"] for metric in steps]
        seconds = _elapsed(metrics)
        events = [metric.get("name") for metric in reversed(metrics) if metric["kind"] == "event"]
        return "", [
            quantity(number),
            f"{quantity(min(reached))} to {quantity(max(reached))}" if reached else "none",
            "" if seconds is None else _duration(seconds),
            _text(steps[-1].get("loss")) if steps else "",
            escaped(next((name for name in events if name in _ENDS), "without a word")),
        ]

    return _table(["Attempt", "Steps", "Time", "Last loss", "Ended"], list(run.attempts.items()), row, "")


_ENDS = ("finished", "saved_on_request", "error")


def _timeline(run: _Run) -> str:
    def row(metric: Metric) -> Row:
        name = "checkpoint" if metric["kind"] == "checkpoint" else metric.get("name") or "event without a name"
        return "check-fail" if name == "error" else "", [
            quantity(metric["attempt"]),
            f"{metric['elapsed_s']:,.1f}\u00a0s" if "elapsed_s" in metric else "",
            quantity(metric["step"]) if "step" in metric else "",
            escaped(name),
            _checkpoint_details(metric) if metric["kind"] == "checkpoint" else _event_details(metric),
        ]

    heads = ["Attempt", "After", "Step", "What", "Details"]
    told = [metric for metric in run.metrics if metric["kind"] in ("event", "checkpoint")]
    return _table(heads, told, row, "No event and no checkpoint was told.")


def _checkpoint_details(metric: Metric) -> str:
    parts = []
    if "seconds" in metric:
        parts.append(f"{quantity(metric['seconds'])} s")
    if "bytes" in metric:
        parts.append(f"{quantity(metric['bytes'] / 1e6)} MB")
    if "blocked_s" in metric:
        parts.append(f"training stood still for {quantity(metric['blocked_s'])} s")
    path = f"<br><code>{escaped(metric['path'])}</code>" if metric.get("path") else ""
    return ", ".join(parts) + path


def _event_details(metric: Metric) -> str:
    shown = [escaped(metric["message"])] if metric.get("message") else []
    if metric.get("fix"):
        shown.append(f"<strong>Fix:</strong> {escaped(metric['fix'])}")
    if metric.get("name") == "environment":
        shown.append("shown under Environment and versions")
    else:
        told = ("kind", "attempt", "elapsed_s", "step", "name", "message", "fix")
        rest = ", ".join(f"{key}={clean(value)}" for key, value in metric.items() if key not in told)
        shown.extend([escaped(rest)] if rest else [])
    return "<br>".join(shown)


def _plan(run: _Run) -> str:
    plan = run.plan
    if not plan:
        return _missing("There is no plan.")
    case = plan.get("case") or {}
    facts = {
        "Framework": case.get("framework"),
        "Case folder": case.get("path"),
        "Launcher": plan.get("launcher"),
        "Launcher parameters": _assignments(plan.get("launcher_params")),
        "Instance type": plan.get("instance_type"),
        "Accelerator": plan.get("accelerator_model") or plan.get("accelerator"),
        "Image": plan.get("image"),
        "Requirements": _assignments(plan.get("environment")),
        "Secrets, by name": " ".join(clean(name) for name in plan.get("secrets") or []),
        "Transport": run.result.get("transport"),
    }
    described = "".join(
        f"<div><dt>{name}</dt><dd>{escaped(value)}</dd></div>" for name, value in facts.items() if value
    )

    def row(step: Mapping[str, Any]) -> Row:
        told = [_text(step.get(key)) for key in ("name", "start", "on", "when")]
        return "", [*told, f"<code>{_command(step)}</code>"]

    return (
        f'<dl class="facts">{described}</dl><h3>Steps</h3>'
        + _table(["Step", "Start", "On", "When", "Command"], plan.get("steps") or [], row, "The plan holds no step.")
        + "<h3>Parameters</h3>"
        + _parameters(plan)
    )


def _command(step: Mapping[str, Any]) -> str:
    """A step's words as a line of shell, each kept whole where it fits; a line for each group of nodes."""
    commands = [step.get("command") or [], *(group.get("run") or [] for group in step.get("groups") or [])]
    lines = [" ".join(f"<span>{escaped(shell_words([str(word)]))}</span>" for word in words) for words in commands]
    return "<br>".join(line for line in lines if line)


def _parameters(plan: Mapping[str, Any]) -> str:
    """Every parameter, those that the user changed first, then those that the preset sets."""
    defaults, changed = plan.get("defaults") or {}, plan.get("changed_parameters") or []
    values = plan.get("parameters") or {}

    def rank(name: str) -> int:
        return 0 if name in changed else 1 if name in defaults and values[name] != defaults[name] else 2

    def row(name: str) -> Row:
        value = f"<code>{escaped(as_text(values[name]))}</code>"
        return "" if rank(name) == 2 else "differs", [
            f"<code>{escaped(name)}</code>",
            value if rank(name) == 2 else f"<strong>{value}</strong>",
            f"<code>{escaped(as_text(defaults[name]))}</code>" if name in defaults else "",
            ("params, unlike the preset", "preset", "default")[rank(name)],
        ]

    heads = ["Parameter", "Value", "Case default", "Set by"]
    return _table(heads, sorted(values, key=rank), row, "The case has no parameters.")


def _assignments(values: Mapping[str, Any] | None) -> str:
    return " ".join(
        f"{clean(name)}={clean(as_text(value))}" for name, value in (values or {}).items() if value is not None
    )


def _environment(environment: Mapping[str, Any]) -> str:
    def row(fact: tuple[str, Any]) -> Row:
        return "", [f"<code>{escaped(fact[0])}</code>", escaped(fact[1])]

    return _table(["Name", "Value"], _flat(environment), row, "Nothing is known of the nodes' environment.")


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.extend(_flat(value, f"{before}{name}."))
        else:
            words = ", ".join(clean(one) for one in value) if isinstance(value, (list, tuple)) else value
            flat.append((f"{before}{name}", "not known" if words is None or words == "" else words))
    return flat


def _log(log_tail: str) -> str:
    # a progress bar leaves what it showed last, as on a terminal
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in log_tail[-LONGEST_LOG:].split("\n")]
    text = "\n".join(lines).strip("\n")
    if not text.strip():
        return _missing("The log is empty.")
    return f'<pre tabindex="0">{escaped(text, most=LONGEST_LOG)}</pre>'


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>"


def _missing(text: str) -> str:
    return f'<p class="missing">{escaped(text)}</p>'


def _table(heads: list[str], items: Sequence[Any], row: Callable[[Any], Row], missing: str) -> str:
    """A table of ``items``; a column that is empty in every row is left out."""
    if not items:
        return _missing(missing)
    half = LONGEST_TABLE // 2
    between = len(items) - 2 * half
    first, last = (items[:half], items[-half:]) if between > 0 else (items, [])
    top, bottom = [row(item) for item in first], [row(item) for item in last]
    shown = [column for column in range(len(heads)) if any(cells[column] for _, cells in [*top, *bottom])]
    lines = [_row(style, cells, heads, shown) for style, cells in top]
    if between > 0:
        lines.append(f'<tr><td colspan="{len(shown)}" class="missing">{between:,} rows are left out here</td></tr>')
    lines += [_row(style, cells, heads, shown) for style, cells in bottom]
    head = "".join(f'<th scope="col">{heads[column]}</th>' for column in shown)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody>\n</table></div>"
    )


def _row(style: str, cells: list[str], heads: list[str], shown: list[int]) -> str:
    filled = "".join(f'<td data-head="{heads[column]}">{cells[column]}</td>' for column in shown)
    return f'<tr class="{style}">{filled}</tr>' if style else f"<tr>{filled}</tr>"


def _text(value: Any) -> str:
    """A value as the content of a cell."""
    if value is None:
        return ""
    if _is_not_a_number(value):
        return f'<span class="bad">{escaped(quantity(_number(value)))}</span>'
    return escaped(quantity(value))


def _verdict(verdict: str) -> str:
    signs = {"pass": "✓", "fail": "✗", "skip": "–"}
    style = verdict if verdict in signs else "unknown"
    return f'<span class="badge {style}">{signs.get(verdict, "?")} {escaped(verdict)}</span>'


_DEFINITIONS = """<dl class="definitions">
<dt>Loss</dt>
<dd>Mean cross-entropy of a step's batch, before that step's update, in nats per predicted token.</dd>
<dt>Held-out loss</dt>
<dd>The same, of data that is never trained on.</dd>
<dt>Throughput</dt>
<dd>Tokens that all ranks together train on per second; per accelerator: divided by their number.</dd>
<dt>MFU</dt>
<dd>Model FLOP/s utilisation: the floating-point operations per second that the model needs, without what is
computed twice to save memory, as a part of the accelerators' dense bf16 peak. Not known where that peak is not.</dd>
<dt>Step time</dt>
<dd>Seconds per optimizer step, waiting for data included; a line of the log holds the mean since the line before.</dd>
<dt>Median, p95</dt>
<dd>Over the lines after the first tenth, which holds compilation and cold caches; of a step that a later attempt did
again, its last time counts.</dd>
<dt>Training time</dt>
<dd>From the start of the training script to its last line, summed over the attempts.</dd>
<dt>Attempt</dt>
<dd>One start of the job; a later attempt goes on from the newest complete checkpoint.</dd>
<dt>Verdict</dt>
<dd>A run passes if at least one check passed and none failed. A skip proves nothing and never counts as a pass.</dd>
</dl>"""

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #fff; --panel: #f6f8fa; --rule: #d8dee4; --text: #1f2328; --quiet: #59636e;
  --pass: #1a7f37; --fail: #cf222e; --skip: #7d5b00; --mark: #8250df; --checkpoint: #6e7781;
  --training: #0969da; --held-out: #bc4c00; --differs: #fff8c5; --on-badge: #fff;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --panel: #161b22; --rule: #30363d; --text: #e6edf3; --quiet: #9aa4af;
    --pass: #3fb950; --fail: #ff7b72; --skip: #d9a520; --mark: #bc8cff; --checkpoint: #8b949e;
    --training: #58a6ff; --held-out: #f0883e; --differs: #2d2a12; --on-badge: #0d1117;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .7rem; padding-bottom: .3rem; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .5rem 0; }
code, pre { font: .87em/1.5 ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace;
  overflow-wrap: break-word; }
code span { display: inline-block; max-width: 100%; }
small { font-size: .75em; color: var(--quiet); font-weight: 400; }
.preset, .summary, .facts, .unit, figcaption, .missing { color: var(--quiet); }
.preset { font-weight: 400; }
.missing { font-style: italic; }
.facts, .why, td:last-child, dd { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
.badge { display: inline-block; padding: 0 .6em; border-radius: 1em; font-weight: 600; white-space: nowrap;
  border: 1px solid currentColor; }
header .badge { font-size: 1.1rem; padding: .1em .9em; }
.badge.pass { color: var(--pass); }
.badge.fail { color: var(--on-badge); background: var(--fail); border-color: var(--fail); print-color-adjust: exact; }
.badge.skip { color: var(--skip); border-style: dashed; }
.badge.state, .badge.unknown { color: var(--quiet); }
.why { border-left: 4px solid var(--fail); background: var(--panel); padding: .6rem 1rem; }
.bad { color: var(--fail); fill: var(--fail); font-weight: 600; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); gap: .7rem; margin: 0; }
.figures div { background: var(--panel); border: 1px solid var(--rule); border-radius: 6px; padding: .6rem .8rem;
  break-inside: avoid; }
.figures dt { color: var(--quiet); font-size: .85rem; }
.figures dd { margin: 0; font-size: .8rem; color: var(--quiet); }
.figures dt + dd { font-size: 1.35rem; font-weight: 600; line-height: 1.35; color: var(--text);
  font-variant-numeric: tabular-nums; }
.figures dt + dd.unknown { color: var(--quiet); font-weight: 400; font-style: italic; font-size: 1.1rem;
  line-height: 1.65; }
.figures dt + dd.bad { color: var(--fail); }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-size: .9rem; }
th { text-align: left; color: var(--quiet); font-weight: 600; white-space: nowrap; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
td { font-variant-numeric: tabular-nums; }
tr { break-inside: avoid; }
tr.check-fail td:first-child { box-shadow: inset 4px 0 var(--fail); }
tr.check-skip td { color: var(--quiet); }
tr.differs td { background: var(--differs); }
dl.facts, .definitions { margin: 0; font-size: .9rem; }
dl.facts div { display: grid; grid-template-columns: 11rem 1fr; gap: .6rem; padding: .15rem 0; }
dl.facts dd { margin: 0; color: var(--text); }
.definitions dt { font-weight: 600; }
.definitions dd { margin: 0 0 .5rem; color: var(--quiet); }
figure { margin: 0 0 2rem; break-inside: avoid; }
figcaption { font-size: .85rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .3rem 0; padding: 0;
  font-size: .85rem; }
.legend svg { vertical-align: middle; overflow: visible; }
.unit { font-size: .8rem; margin: .4rem 0 .5rem; }
.plot { display: block; height: 15rem; width: calc(100% - 5rem); margin: 0 1.5rem 3.4rem 3.5rem; overflow: visible; }
.plot svg { overflow: visible; }
.plot text { font-size: 12px; text-anchor: middle; }
.tick { fill: var(--quiet); }
.plot text.y { text-anchor: end; }
.grid { stroke: var(--rule); }
.axis { stroke: var(--quiet); }
path { fill: none; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round;
  vector-effect: non-scaling-stroke; }
path.training { stroke: var(--training); }
path.held-out { stroke: var(--held-out); }
path.redone { stroke: var(--quiet); opacity: .6; }
path.dots { stroke-width: 5; }
line.resumed { stroke: var(--mark); stroke-width: 1.5; stroke-dasharray: 5 4; }
line.checkpoint { stroke: var(--checkpoint); stroke-width: 2; }
pre { background: var(--panel); border: 1px solid var(--rule); border-radius: 6px; padding: .8rem 1rem; margin: 0;
  white-space: pre-wrap; max-height: 40rem; overflow: auto; }
@media screen and (max-width: 40rem) {
  main { padding: 1rem; }
  .figures { grid-template-columns: 1fr 1fr; }
  .figures dt + dd { font-size: 1.1rem; }
  thead { position: absolute; clip-path: inset(50%); }
  tbody, tr, td { display: block; }
  tr { border-bottom: 1px solid var(--rule); padding: .4rem 0; }
  td { border: 0; padding: .1rem .6rem; overflow-wrap: anywhere; }
  td[data-head] { padding-left: 7.2rem; position: relative; }
  td[data-head]::before { content: attr(data-head); color: var(--quiet); position: absolute; left: .6rem; }
  td:empty { display: none; }
  dl.facts div { grid-template-columns: 1fr; gap: 0; }
}
@media print {
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; }
  pre { max-height: none; }
  .plot { height: 11rem; }
}
"""

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)
"""Nothing is loaded or run; of styles the page's own alone."""
