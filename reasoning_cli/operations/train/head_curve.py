"""What a head would answer against what of that disagrees, as a picture (SVG)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from reasoning_cli.engines.head.training import Curve, Trained

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 40, 50
_COLORS = {"rule": "#b35c00", "model": "#1f5fa8"}
_LEAST_TOP = 0.1  # of the axis of disagreement
_STEPS = 5  # marks on an axis


def curve_svg(found: Trained) -> str:
    """The curves of rules and model on the held-out rooms, the bound, and where the head stands."""
    highest = max(
        _LEAST_TOP,
        2 * found.head.max_error,
        *(disagreed for by in found.by_scorer.values() for _, disagreed in by.curve),
    )
    top = _rounded_up(highest)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
        ' font-family="system-ui, sans-serif" font-size="12" fill="#444">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="14" fill="#222">{escape(_title(found))}</text>',
        *_axes(top),
        *(_line(by.curve, _COLORS[name], top) for name, by in found.by_scorer.items()),
        *_bound(found, top),
        *_legend(found),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _title(found: Trained) -> str:
    return f"should-respond, {found.held_out:,} decisions of {found.held_out_rooms:,} held-out rooms"


def _axes(top: float) -> list[str]:
    parts = []
    for step in range(_STEPS + 1):
        share, disagreed = step / _STEPS, top * step / _STEPS
        x, y = _x(share), _y(disagreed, top)
        parts += [
            f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}" stroke="#e4e4e4"/>',
            f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{disagreed:.0%}</text>',
            f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{share:.0%}</text>',
        ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">answered, by falling confidence</text>')
    parts.append(
        f'<text x="16" y="{_HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 {_HEIGHT / 2})">'
        "disagrees with the log</text>"
    )
    return parts


def _line(curve: Curve, color: str, top: float) -> str:
    points = " ".join(f"{_x(share)},{_y(disagreed, top)}" for share, disagreed in curve)
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'


def _bound(found: Trained, top: float) -> list[str]:
    y, bound = _y(found.head.max_error, top), f"bound {found.head.max_error:.1%}"
    parts = [
        f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}" stroke="#a02020" stroke-dasharray="5 4"/>',
        f'<text x="{_WIDTH - _RIGHT}" y="{y - 5}" text-anchor="end" fill="#a02020">{bound}</text>',
    ]
    if found.share:
        x, dot = _x(found.share), _y(found.proof.disagreed / found.proof.answered, top)
        parts.append(f'<circle cx="{x}" cy="{dot}" r="5" fill="#208040"/>')
        parts.append(f'<text x="{x + 9}" y="{dot + 4}" fill="#208040">answers {found.share:.0%}</text>')
    return parts


def _legend(found: Trained) -> list[str]:
    named: Sequence[tuple[str, str]] = [("rule", "rules"), ("model", "linear model")]
    return [
        f'<text x="{_LEFT + 12}" y="{_TOP + 18 + 18 * place}" fill="{_COLORS[name]}">{text}</text>'
        for place, (name, text) in enumerate(named)
        if name in found.by_scorer
    ]


def _x(share: float) -> float:
    return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(disagreed: float, top: float) -> float:
    return round(_HEIGHT - _BOTTOM - min(1, disagreed / top) * (_HEIGHT - _TOP - _BOTTOM), 1)


def _rounded_up(value: float) -> float:
    """The next multiple of 5 %."""
    return -(-round(value * 100, 6) // 5) * 5 / 100
