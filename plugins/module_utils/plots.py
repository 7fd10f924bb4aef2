# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Line plots as inline SVG that keeps its text size at every width, and the escaping of all that is shown."""

from __future__ import annotations

import html
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

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
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
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
    """The first, lowest, highest and last point of each stretch of x, where there are many points."""
    if len(points) <= 4 * buckets:
        return list(points)
    first, last = points[0][0], points[-1][0]
    width = (last - first) / buckets or 1.0
    stretches: dict[int, list[Point]] = {}
    for point in points:
        stretches.setdefault(int((point[0] - first) / width), []).append(point)
    kept: list[Point] = []
    for stretch in stretches.values():
        kept.extend(sorted({stretch[0], min(stretch, key=_Y), max(stretch, key=_Y), stretch[-1]}))
    return kept


def plot(
    title: str,
    unit: str,
    series: Sequence[Series],
    marks: Sequence[Marks] = (),
    missing: str = "",
    from_zero: bool = False,
) -> str:
    """A figure over training steps: heading, legend, plot and its numbers in words.

    :param unit: of the values, as the vertical axis' title.
    :param missing: what to say where there is no point at all.
    :param from_zero: the vertical axis starts at 0, where it is not logarithmic.
    """
    series = [one for one in series if one.points]
    if not series:
        return f'<figure><h3>{escaped(title)}</h3><p class="missing">{escaped(missing)}</p></figure>'
    marks = [one for one in marks if one.at]
    parted = [(one, *_parted(one.points)) for one in series]
    in_words = [sentence for one, good, bad in parted for sentence in _in_words(one, good, bad)]
    drawn = [(one, decimate(good), decimate(bad)) for one, good, bad in parted]
    upward = _values_axis([y for _, good, _ in drawn for _, y in good], from_zero)
    ends = [x for one in series for x in (one.points[0][0], one.points[-1][0])]
    across = _steps_axis([*ends, *(x for one in marks for x in one.at)])
    crosses = sorted({f"{across.place(x):.1%}" for _, _, bad in drawn for x, _ in bad})
    picture = [
        *_grid(across, upward),
        *(_mark_lines(one, across) for one in marks),
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%">',
        *(_paths(one, good, bad, across, upward) for one, good, bad in drawn),
        "</svg>",
        *(f'<text class="bad" x="{x}" y="0" dy=".35em">✕</text>' for x in crosses),
    ]
    unit = f"{unit}, logarithmic" if upward.log else unit
    label = escaped(f"{title}, in {unit}, over training steps. {' '.join(in_words)}")
    return "".join(
        [
            f"<figure><h3>{escaped(title)}</h3>",
            _legend(series, marks, bool(crosses)),
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


_Y = itemgetter(1)


def _parted(points: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """The points that can be drawn, and those that cannot: NaN, infinite or beyond any axis."""
    good = [point for point in points if -_BEYOND < point[1] < _BEYOND]
    bad = [] if len(good) == len(points) else [point for point in points if not -_BEYOND < point[1] < _BEYOND]
    return good, bad


def _in_words(series: Series, good: list[Point], bad: list[Point]) -> list[str]:
    count = f"{len(series.points):,} point{'s' if len(series.points) > 1 else ''}"
    first, last = quantity(series.points[0][0]), quantity(series.points[-1][0])
    where = f"step {first}" if first == last else f"steps {first} to {last}"
    sentences = []
    if good:
        values = [y for _, y in good]
        sentences.append(
            f"{series.name}: minimum {quantity(min(values))}, median {quantity(statistics.median(values))}, "
            f"maximum {quantity(max(values))}, last {quantity(series.points[-1][1])} ({count}, {where})."
        )
    if bad:
        told = ", ".join(f"{quantity(y)} at step {quantity(x)}" for x, y in bad[:3])
        more = f" and {len(bad) - 3:,} more" if len(bad) > 3 else ""
        sentences.append(f"{series.name}: {len(bad):,} of {count} cannot be drawn: {told}{more}.")
    return sentences


def _steps_axis(steps: list[float]) -> Axis:
    low, high = min(steps), max(steps)
    if low == high:
        high += 1
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
    size = max(abs(low), abs(high))
    room = (high - low) * 0.06 if high - low > size * 1e-9 else size * 0.1
    room = room if room > 1e-300 else 1.0
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
    factors = (1, 2, 5) if high < 500 * low else (1,)
    values = [factor * 10.0**power for power in powers[:: math.ceil(len(powers) / 8)] for factor in factors]
    return [value for value in values if low <= value <= high]


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


def _paths(series: Series, good: list[Point], bad: list[Point], across: Axis, upward: Axis) -> str:
    """A line that breaks where a value cannot be drawn, and dots where there are few points or no line."""
    line: list[str] = []
    dots: list[str] = []
    breaks = {x for x, _ in bad}
    pen = "M"
    for x, y in sorted([*good, *bad], key=itemgetter(0)):
        if x in breaks:
            pen = "M"
            continue
        place = f"{across.place(x) * 1000:.1f} {1000 - upward.place(y) * 1000:.1f}"
        # a line of no length is a round dot, whatever the stretching
        dots.append(f"M{place}h0")
        line.append(f"M{place}h0" if pen == "M" else f"L{place}")
        pen = "L"
    paths = f'<path class="{series.style}" d="{"".join(line)}"/>' if series.joined else ""
    if not series.joined or len(good) <= _FEW:
        paths += f'<path class="{series.style} dots" d="{"".join(dots)}"/>'
    return paths


_FEW = 60
"""Up to so many points stand as dots on their line."""


def _legend(series: Sequence[Series], marks: Sequence[Marks], undrawable: bool) -> str:
    entries = [
        (
            f'<path class="{one.style}{"" if one.joined else " dots"}" d="{"M3 6h18" if one.joined else "M12 6h0"}"/>',
            one.name,
        )
        for one in series
    ]
    entries += [(f'<line class="{one.style}" x1="12" x2="12" y1="0" y2="12"/>', one.name) for one in marks]
    if undrawable:
        entries.append(('<text class="bad" x="12" y="11">✕</text>', "not a number"))
    if len(entries) < 2:
        return ""
    items = "".join(
        f'<li><svg width="24" height="12" aria-hidden="true">{picture}</svg> {escaped(name)}</li>'
        for picture, name in entries
    )
    return f'<ul class="legend">{items}</ul>'
