"""Line charts as plain SVG.

Colours are of medium lightness on no background, so that a chart reads on a light page and on a
dark one. Each series has a marker of its own, so that it also reads without colour.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 680, 400
LEFT, RIGHT, BOTTOM = 62, 20, 54
TITLE_Y = 26
LEGEND_Y = 50
LEGEND_ROW = 20
CHAR_WIDTH = 6.6
MUTED = "#7d8590"
COLOURS = ("#2f81c7", "#d9772b", "#3d9a5f", "#c2529b", "#8a6fd1", "#c79a1e")
MARKERS = (
    '<circle cx="{x}" cy="{y}" r="4"/>',
    '<path d="M{x} {y}m-4-4h8v8h-8z"/>',
    '<path d="M{x} {y}m0-5l5 9h-10z"/>',
    '<path d="M{x} {y}m0-6l6 6l-6 6l-6-6z"/>',
    '<path d="M{x} {y}m0 5l5-9h-10z"/>',
)
MAX_NAMED_TICKS = 8


@dataclass(frozen=True, slots=True)
class Series:
    """One line."""

    label: str
    points: Sequence[tuple[float, float | None]]
    """By x; a point without y is left out."""
    reference: bool = False
    """Drawn dashed, without markers: a limit or a rule, not a measurement."""

    @property
    def known(self) -> list[tuple[float, float]]:
        """The points that have a y."""
        return [(x, y) for x, y in self.points if y is not None]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a value stands on the picture."""

    top: float
    x_from: float
    x_to: float
    y_to: float
    log_x: bool

    def x(self, value: float) -> float:
        low, high, here = (self._scaled(each) for each in (self.x_from, self.x_to, value))
        share = (here - low) / (high - low) if high > low else 0.5
        return round(LEFT + 12 + share * (WIDTH - LEFT - RIGHT - 24), 1)

    def y(self, value: float) -> float:
        bottom = HEIGHT - BOTTOM
        return round(bottom - value / self.y_to * (bottom - self.top), 1)

    def _scaled(self, value: float) -> float:
        return math.log2(value) if self.log_x else value


def chart(
    title: str, x_label: str, y_label: str, series: Sequence[Series], *, log_x: bool = False
) -> str:
    """Return a line chart; only a logarithmic axis does not begin at 0. Labels name the units."""
    points = [point for each in series for point in each.known]
    xs = sorted({x for x, _ in points}) or [1.0]
    steps = _steps(max([y for _, y in points], default=1.0))
    places = _legend_places([each.label for each in series])
    x_from = xs[0] if log_x else 0.0
    frame = _Frame(places[-1][1] + 18, x_from, xs[-1], steps[-1], log_x)
    parts = [
        _head(title),
        *_horizontal(frame, steps, y_label),
        *_vertical(frame, xs, x_label),
        *(_line(frame, number, each) for number, each in enumerate(series)),
        *(_legend(number, each, places[number]) for number, each in enumerate(series)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _head(title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" font-family="system-ui, -apple-system, \'Segoe UI\', '
        f'Helvetica, Arial, sans-serif" font-size="12" fill="{MUTED}">\n'
        f"<title>{escape(title)}</title>\n"
        f'<text x="{LEFT}" y="{TITLE_Y}" font-size="15" font-weight="600">{escape(title)}</text>'
    )


def _steps(top: float) -> list[float]:
    """Return round values from 0 to at least `top`."""
    rough = max(top, 1e-9) / 5
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(f * magnitude for f in (1, 2, 2.5, 5, 10) if f * magnitude >= rough * 0.999)
    return [round(step * count, 10) for count in range(math.ceil(top / step - 1e-9) + 1)]


def _horizontal(frame: _Frame, steps: Sequence[float], label: str) -> Iterable[str]:
    for value in steps:
        y = frame.y(value)
        opacity = 0.9 if value == 0 else 0.25
        yield (
            f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="{MUTED}" stroke-opacity="{opacity}"/>'
        )
        yield f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{value:g}</text>'
    middle = (frame.top + HEIGHT - BOTTOM) / 2
    yield (
        f'<text transform="translate(16 {middle:g}) rotate(-90)" text-anchor="middle">'
        f"{escape(label)}</text>"
    )


def _vertical(frame: _Frame, xs: Sequence[float], label: str) -> Iterable[str]:
    bottom = HEIGHT - BOTTOM
    named = xs if len(xs) <= MAX_NAMED_TICKS else _between(frame.x_from, frame.x_to)
    for value in named:
        x = frame.x(value)
        yield f'<path d="M{x} {bottom}v5" stroke="{MUTED}"/>'
        yield f'<text x="{x}" y="{bottom + 20}" text-anchor="middle">{value:g}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle:g}" y="{HEIGHT - 12}" text-anchor="middle">{escape(label)}</text>'


def _between(low: float, high: float) -> list[float]:
    return [value for value in _steps(high) if low <= value <= high]


def _line(frame: _Frame, number: int, series: Series) -> str:
    places = [(frame.x(x), frame.y(y)) for x, y in series.known]
    path = "M" + "L".join(f"{x} {y}" for x, y in places) if places else ""
    drawn = f'<path d="{path}" fill="none" {_stroke(number, series)}/>'
    if series.reference:
        return drawn
    marks = "".join(_marker(number, x, y) for x, y in places)
    return f'{drawn}<g fill="{_colour(number, series)}">{marks}</g>'


def _marker(number: int, x: float, y: float) -> str:
    return MARKERS[number % len(MARKERS)].format(x=x, y=y)


def _colour(number: int, series: Series) -> str:
    return MUTED if series.reference else COLOURS[number % len(COLOURS)]


def _stroke(number: int, series: Series) -> str:
    dashes = ' stroke-dasharray="6 4"' if series.reference else ""
    return f'stroke="{_colour(number, series)}" stroke-width="2"{dashes}'


def _legend_places(labels: Sequence[str]) -> list[tuple[float, float]]:
    """Return where each label begins, in as many rows as it takes."""
    places: list[tuple[float, float]] = []
    x, y = float(LEFT), float(LEGEND_Y)
    for label in labels:
        width = 30 + len(label) * CHAR_WIDTH + 16
        if x > LEFT and x + width > WIDTH:
            x, y = float(LEFT), y + LEGEND_ROW
        places.append((x, y))
        x += width
    return places


def _legend(number: int, series: Series, place: tuple[float, float]) -> str:
    x, y = place
    line = f'<path d="M{x:g} {y - 4:g}h24" {_stroke(number, series)}/>'
    if not series.reference:
        mark = _marker(number, x + 12, y - 4)
        line += f'<g fill="{_colour(number, series)}">{mark}</g>'
    return f'{line}<text x="{x + 30:g}" y="{y:g}">{escape(series.label)}</text>'
