# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Line plots as inline SVG that keeps its text size at every width, and the escaping of all that a page shows."""

from __future__ import annotations

import html
import math
import re
import statistics
from dataclasses import dataclass, field
from typing import Any, Sequence

Point = tuple[float, float]

BUCKETS = 400
"""Stretches of x of which a long series keeps the first, lowest, highest and last point."""


@dataclass(frozen=True)
class Series:
    """Points in order of x; ``style`` names their CSS class, ``joined`` False draws dots."""

    name: str
    style: str
    points: Sequence[Point]
    joined: bool = True


@dataclass(frozen=True)
class Marks:
    """Vertical marks of one kind: over the whole height if ``tall``, else short ones on the axis."""

    name: str
    style: str
    at: Sequence[float]
    tall: bool = False


@dataclass(frozen=True)
class Axis:
    """Where values lie between 0 and 1, and the values worth a gridline."""

    low: float
    high: float
    log: bool = False
    ticks: list[float] = field(default_factory=list)

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high end."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def clean(value: Any, most: int = 2000) -> str:
    """Text that is safe to show: no terminal codes, control or direction characters, no endless values."""
    text = _TERMINAL.sub("", str(value))
    text = _UNPRINTABLE.sub("\ufffd", text)
    return text if len(text) <= most else text[: most - 1] + "…"


def escaped(value: Any, most: int = 2000) -> str:
    """Cleaned text for HTML and SVG, in elements and in attributes."""
    return html.escape(clean(value, most), quote=True)


def quantity(value: Any) -> str:
    """A number with four significant digits, or all of a whole one; NaN and infinity are said."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return clean(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite" if value > 0 else "-infinite"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def decimate(points: Sequence[Point], buckets: int = BUCKETS) -> list[Point]:
    """The first, lowest, highest and last point, and the first undrawable one, of each of ``buckets`` stretches of x."""
    if len(points) <= 4 * buckets:
        return list(points)
    first, last = points[0][0], points[-1][0]
    width = (last - first) / buckets or 1.0
    stretches: dict[int, list[Point]] = {}
    for point in points:
        stretches.setdefault(min(int((point[0] - first) / width), buckets - 1), []).append(point)
    kept: list[Point] = []
    for stretch in stretches.values():
        good = [point for point in stretch if _drawable(point[1])]
        chosen = [point for point in stretch if not _drawable(point[1])][:1]
        if good:
            chosen += [good[0], min(good, key=_height), max(good, key=_height), good[-1]]
        kept.extend(sorted(set(chosen)))
    return kept


def plot(
    title: str, unit: str, series: Sequence[Series], marks: Sequence[Marks] = (), missing: str = "", from_zero: bool = False
) -> str:
    """A figure over training steps: heading, legend, plot and its numbers in words.

    :param unit: of the values, as the vertical axis' title.
    :param missing: what to say where there is no point at all.
    :param from_zero: the vertical axis starts at 0, where it is not logarithmic.
    """
    series = [one for one in series if one.points]
    if not series:
        return f'<figure><h3>{escaped(title)}</h3><p class="missing">{escaped(missing)}</p></figure>'
    in_words = [sentence for one in series for sentence in _in_words(one)]
    drawn = [(one, decimate(one.points)) for one in series]
    values = [y for _, points in drawn for _, y in points if _drawable(y)]
    across = _steps_axis([x for one in series for x in (one.points[0][0], one.points[-1][0])])
    upward = _values_axis(values, from_zero)
    marks = [one for one in marks if one.at]
    undrawable = sorted({x for _, points in drawn for x, y in points if not _drawable(y)})
    picture = [
        *_grid(across, upward),
        *(_mark_lines(one, across) for one in marks),
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%">',
        *(_path(one, points, across, upward) for one, points in drawn),
        "</svg>",
        *(f'<text class="bad" x="{across.place(x):.2%}" y="0" dy=".35em">✕</text>' for x in undrawable),
    ]
    unit = f"{unit}, logarithmic" if upward.log else unit
    label = escaped(f"{title}, in {unit}, over training steps. {' '.join(in_words)}")
    return "".join(
        [
            f"<figure><h3>{escaped(title)}</h3>",
            _legend(series, marks, bool(undrawable)),
            f'<p class="unit">{escaped(unit)}</p>',
            f'<svg class="plot" role="img" aria-label="{label}">{"".join(picture)}</svg>',
            f"<figcaption>{'<br>'.join(escaped(sentence) for sentence in in_words)}</figcaption></figure>",
        ]
    )


_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]"  # colours and cursor movements
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # titles, links and other strings
    r"|\x1b[ -/]*[0-~]"
)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

_BEYOND = 1e100
"""Values past this are told in words: axes of floats need room to calculate."""


def _drawable(y: float) -> bool:
    return abs(y) < _BEYOND  # False for NaN too


def _height(point: Point) -> float:
    return point[1]


def _in_words(series: Series) -> list[str]:
    good = [y for _, y in series.points if _drawable(y)]
    bad = [(x, y) for x, y in series.points if not _drawable(y)]
    count = f"{len(series.points):,} point{'s' if len(series.points) > 1 else ''}"
    first, last = quantity(series.points[0][0]), quantity(series.points[-1][0])
    where = f"step {first}" if first == last else f"steps {first} to {last}"
    sentences = []
    if good:
        sentences.append(
            f"{series.name}: minimum {quantity(min(good))}, median {quantity(statistics.median(good))}, "
            f"maximum {quantity(max(good))}, last {quantity(series.points[-1][1])} ({count}, {where})."
        )
    if bad:
        told = ", ".join(f"{quantity(y)} at step {quantity(x)}" for x, y in bad[:3])
        more = f" and {len(bad) - 3:,} more" if len(bad) > 3 else ""
        sentences.append(f"{series.name}: {len(bad):,} of {count} cannot be drawn: {told}{more}.")
    return sentences


def _steps_axis(steps: list[float]) -> Axis:
    low, high = min(steps), max(steps)
    if low == high:
        low, high = low - 1, high + 1
    return Axis(low, high, ticks=_round_values(low, high, whole=True))


def _values_axis(values: list[float], from_zero: bool) -> Axis:
    if not values:
        return Axis(0, 1)
    low, high = min(values), max(values)
    # one slow first step would flatten all others
    if low > 0 and high > 20 * statistics.median(values):
        return Axis(low / 1.2, high * 1.2, log=True, ticks=_round_powers(low / 1.2, high * 1.2))
    if from_zero:
        low, high = min(low, 0), max(high, 0)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    low, high = low if from_zero and low == 0 else low - room, high + room
    return Axis(low, high, ticks=_round_values(low, high))


def _round_values(low: float, high: float, whole: bool = False) -> list[float]:
    """About five round values in a range."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    gap = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    gap = max(1.0, gap) if whole else gap
    first, last = math.ceil(low / gap), math.floor(high / gap)
    return [n * gap for n in range(first, min(last, first + 12) + 1)]


def _round_powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten in a range, or fewer where there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 3 else (1,)
    kept = powers[:: math.ceil(len(powers) / 7)]
    return [factor * 10.0**power for power in kept for factor in factors if low <= factor * 10.0**power <= high]


def _tick(value: float) -> str:
    """A tick's label: short, and 0 rather than what subtraction leaves of it."""
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-4:
        return f"{value:.3g}"
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.6g}{letter}"
    return f"{round(value, 10):,.6g}"


def _grid(across: Axis, upward: Axis) -> list[str]:
    lines = ['<line class="axis" x1="0" x2="100%" y1="100%" y2="100%"/>']
    for value in upward.ticks:
        y = f"{1 - upward.place(value):.2%}"
        lines.append(f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>')
        lines.append(f'<text class="tick y" x="0" y="{y}" dx="-.5em" dy=".35em">{_tick(value)}</text>')
    for value in across.ticks:
        x = f"{across.place(value):.2%}"
        lines.append(f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="100%"/>')
        lines.append(f'<text class="tick" x="{x}" y="100%" dy="1.4em">{_tick(value)}</text>')
    lines.append('<text class="tick" x="50%" y="100%" dy="2.9em">training step</text>')
    return lines


def _mark_lines(marks: Marks, across: Axis) -> str:
    inside = sorted({f"{across.place(x):.1%}" for x in marks.at if across.low <= x <= across.high})
    top = "0" if marks.tall else "90%"
    return "".join(f'<line class="{marks.style}" x1="{x}" x2="{x}" y1="{top}" y2="100%"/>' for x in inside)


def _path(series: Series, points: list[Point], across: Axis, upward: Axis) -> str:
    """One path: a line that breaks where a value cannot be drawn, or dots; a zero-length line is a round dot."""
    words: list[str] = []
    alone = joined = False
    for x, y in points:
        if not _drawable(y):
            words.append("h0" if alone else "")
            alone = joined = False
            continue
        place = f"{across.place(x) * 1000:.1f} {1000 - upward.place(y) * 1000:.1f}"
        words.append(f"L{place}" if joined else f"M{place}")
        alone, joined = not joined, series.joined
        if not joined:
            words.append("h0")
    words.append("h0" if alone and joined else "")
    return f'<path class="{series.style}" d="{"".join(words)}"/>'


def _legend(series: Sequence[Series], marks: Sequence[Marks], undrawable: bool) -> str:
    entries = [(f'<path class="{one.style}" d="{"M1 6H23" if one.joined else "M6 6h0M18 6h0"}"/>', one.name) for one in series]
    entries += [(f'<line class="{one.style}" x1="12" x2="12" y1="0" y2="12"/>', one.name) for one in marks]
    if undrawable:
        entries.append(('<text class="bad" x="12" y="11">✕</text>', "not a number"))
    if len(entries) < 2:
        return ""
    items = "".join(
        f'<li><svg width="24" height="12" aria-hidden="true">{picture}</svg> {escaped(name)}</li>' for picture, name in entries
    )
    return f'<ul class="legend">{items}</ul>'
