"""Draw what a terminal showed, colours and all.

script --quiet --return --command 'stty cols 124; make up' recording
python docs/pictures/draw.py recording docs/pictures/make-up.svg --from 'platform ' --title 'make up'
"""

# ruff: noqa: INP001 (a script, not part of a package)
from __future__ import annotations

import argparse
import re
from pathlib import Path

from rich.console import Console
from rich.text import Text

__all__: list[str] = []

FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own frame asks a web host for its font, which no picture in a repository should."""

MOVES = re.compile(r"\x1b\[[0-9;?]*[A-HJKSTfhlnsu]")


def lines(recording: str, first: str) -> list[Text]:
    """Return the lines as they were left on the screen, from the first one that has `first` in it."""
    shown = (MOVES.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in recording.split("\n"))
    kept = [line for line in shown if not line.startswith(("Script started", "Script done"))]
    start = next((number for number, line in enumerate(kept) if first in line), 0)
    return [Text.from_ansi(line) for line in "\n".join(kept[start:]).strip("\n").split("\n")]


def main() -> None:
    """Draw a recording."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--from", dest="first", default="", help="begin with the first line that has this in it")
    parser.add_argument("--title", default="")
    options = parser.parse_args()
    found = lines(options.recording.read_text(errors="replace"), options.first)
    with Path("/dev/null").open("w") as nowhere:
        console = Console(
            record=True, file=nowhere, width=max(line.cell_len for line in found) + 1, force_terminal=True
        )
        for line in found:
            console.print(line, no_wrap=True, crop=False, highlight=False)
        console.save_svg(str(options.picture), title=options.title, code_format=FRAME, unique_id="terminal")


if __name__ == "__main__":
    main()
