"""Small drawings as SVG: bars, and lines over an axis. Nothing else is needed, so no library is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, log10

_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 44, 52
_COLORS = ("#2563eb", "#d97706", "#059669", "#7c3aed", "#dc2626")
_STEPS_OF_A_SCALE = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Drawing:
    """An SVG document and the file name it likes to have."""

    name: str
    svg: str


def bars(name: str, title: str, unit: str, values: Mapping[str, float], *, bar: float | None = None) -> Drawing:
    """Draw one column a value; `bar` is a dashed line to be reached, or not to be exceeded."""
    top = max([*values.values(), bar or 0.0]) * 1.08
    canvas = _Canvas(title, unit, top)
    width = (_WIDTH - _LEFT - _RIGHT) / len(values)
    for place, (label, value) in enumerate(values.items()):
        left = _LEFT + width * (place + 0.15)
        canvas.add(
            f'<rect x="{left:.1f}" y="{canvas.y(value):.1f}" width="{width * 0.7:.1f}"'
            f' height="{_HEIGHT - _BOTTOM - canvas.y(value):.1f}" fill="{_COLORS[0]}"/>'
        )
        canvas.text(left + width * 0.35, canvas.y(value) - 5, _written(value), "middle")
        canvas.text(left + width * 0.35, _HEIGHT - _BOTTOM + 18, label, "middle")
    canvas.level(bar)
    return Drawing(name, canvas.svg())


def lines(
    name: str,
    title: str,
    unit: str,
    below: str,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    bar: float | None = None,
) -> Drawing:
    """Draw each curve of (x, y) points; `below` says what x is."""
    points = [point for curve in curves.values() for point in curve]
    right = max(x for x, _ in points) or 1.0
    canvas = _Canvas(title, unit, max([y for _, y in points] + [bar or 0.0]) * 1.08)

    def across(x: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / right

    for mark in _scale(right):
        canvas.text(across(mark), _HEIGHT - _BOTTOM + 18, _written(mark), "middle")
    canvas.text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, below, "middle")
    for place, (label, curve) in enumerate(curves.items()):
        color = _COLORS[place % len(_COLORS)]
        path = " ".join(f"{across(x):.1f},{canvas.y(y):.1f}" for x, y in curve)
        canvas.add(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.8"/>')
        if len(curves) > 1:
            canvas.text(_WIDTH - _RIGHT, _TOP + 16 * place, label, "end", color)
    canvas.level(bar)
    return Drawing(name, canvas.svg())


class _Canvas:
    """The frame: title, unit, and a scale from 0 up."""

    def __init__(self, title: str, unit: str, top: float) -> None:
        self._top = top or 1.0
        self._pieces = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
            ' font-family="system-ui, sans-serif" font-size="12" role="img">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        ]
        self.text(_LEFT, 18, title, weight="bold")
        self.text(_LEFT, 34, unit)
        for mark in _scale(self._top):
            y = self.y(mark)
            self.add(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>')
            self.text(_LEFT - 8, y + 4, _written(mark), "end")

    def add(self, piece: str) -> None:
        self._pieces.append(piece)

    def text(
        self, x: float, y: float, words: str, anchor: str = "start", color: str = "#111827", weight: str = "normal"
    ) -> None:
        self.add(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-weight="{weight}">'
            f"{escape(words)}</text>"
        )

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self._top

    def level(self, bar: float | None) -> None:
        """Draw the dashed line of a bar, if there is one."""
        if bar is not None:
            y = self.y(bar)
            self.add(
                f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dc2626"'
                ' stroke-dasharray="6 4"/>'
            )
            self.text(_LEFT + 6, y - 5, f"bar: {_written(bar)}", color="#dc2626")

    def svg(self) -> str:
        return "\n".join([*self._pieces, "</svg>"]) + "\n"


def _scale(top: float) -> list[float]:
    """Return about five round marks from 0 to `top`."""
    rough = top / 5
    power = 10.0 ** int(log10(rough)) if rough >= 1 else 10.0 ** -ceil(-log10(rough))
    step = next(power * factor for factor in _STEPS_OF_A_SCALE if power * factor >= rough)
    return [step * number for number in range(int(top / step) + 1)]


def _written(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"
