"""The theme's colours: text can be read on its background, light and dark."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

TEXT, SHAPE = 4.5, 3.0  # contrasts that WCAG AA asks for
TONES = ("quiet", "wait", "work", "ok", "bad")
PAGES = ("--body-bg", "--card", "--darkened-bg")
PAIRS = [
    *((text, page, TEXT) for text in ("--body-fg", "--body-quiet-color", "--body-medium-color", "--link-fg", "--danger") for page in PAGES),
    *((text, "--selected-row", TEXT) for text in ("--body-fg", "--body-quiet-color", "--link-fg")),
    *((f"--{tone}-fg", f"--{tone}-bg", TEXT) for tone in TONES),
    *((f"--{tone}-line", "--card", SHAPE) for tone in TONES[1:]),
    ("--button-fg", "--button-bg", TEXT),
    ("--button-fg", "--button-hover-bg", TEXT),
    ("--header-link-color", "--header-bg", TEXT),
    ("--breadcrumbs-fg", "--breadcrumbs-bg", TEXT),
    ("--body-loud-color", "--selected-bg", TEXT),
    ("--primary", "--card", SHAPE),  # focus rings and bars
    ("--control-border", "--card", SHAPE),
]


def values() -> dict[str, tuple[str, str]]:
    text = (settings.BASE_DIR / "static" / "taskexport" / "colors.css").read_text()
    pairs = re.findall(r"(--[\w-]+): light-dark\((#\w+), (#\w+)\);", text)
    return {name: (light, dark) for name, light, dark in pairs} | {name: (one, one) for name, one in re.findall(r"(--[\w-]+): (#\w+);", text)}


def luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_shapes_stand_out_from_their_background(theme: str) -> None:
    found, weak = values(), []
    for front, back, least in PAIRS:
        lights = sorted(luminance(found[name][theme == "dark"]) for name in (front, back))
        contrast = (lights[1] + 0.05) / (lights[0] + 0.05)
        if contrast < least:
            weak.append(f"{front} on {back}: {contrast:.2f}")
    assert weak == []
