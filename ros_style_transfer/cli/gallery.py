"""The command ``gallery``: one picture with many settings of the controls, on one sheet."""

import argparse
from typing import TYPE_CHECKING, Any, Iterator, List, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from ..controls import METHODS, SETTINGS, Controls, check_model, check_range, describe
from ..errors import OptionError
from ..media import images
from ..models import weights
from ..models.registry import MODELS
from . import inputs
from .common import add_model_options, add_output_options, find_styles, print_message, refuse_existing

if TYPE_CHECKING:
    from ..stylizer import Stylizer

TILE = 256  # pixels, the longer side of the content on the sheet
FONT = 13  # pixels
CAPTION = 18  # pixels below each picture
GAP = 6  # pixels between tiles
COLUMNS = 5
GALLERY_STYLES = ["flow_night", "mosaic"]


def add_to(commands: Any) -> None:
    """Add the command ``gallery`` to the command line's ``commands``."""
    parser = commands.add_parser(
        "gallery",
        help="show the effect of each control on one picture",
        usage="%(prog)s CONTENT -o OUT [--style S ...] [option ...]",
        description="Stylize one picture with each control changed in turn, and put the results on one sheet.",
    )
    parser.add_argument("content", metavar="CONTENT", help="a picture")
    add_output_options(parser, "the sheet to write, a picture")
    add_model_options(parser)


def run(args: argparse.Namespace) -> None:
    """Draw the sheet that the command line asks for."""
    check_model(args.model, args.precision)
    check_range("--max-memory", args.max_memory, *SETTINGS["max_memory"].allowed)
    names = args.style or []
    if len(names) > 2:
        raise OptionError("a sheet shows two styles, not %d" % len(names))
    paths = find_styles((names + [name for name in GALLERY_STYLES if name not in names])[:2])
    content, styles = images.read(args.content), [images.read(path) for path in paths]
    inputs.check_files([inputs.Job(args.content, paths, args.output)])
    refuse_existing(args.output, args.overwrite)
    weights.load(args.model, args.weights_dir)

    from ..stylizer import Stylizer

    images.write_or_rescue(
        args.output,
        draw(content, styles, Stylizer(args.model, args.precision, args.weights_dir, max_memory=args.max_memory)),
    )


def draw(content: np.ndarray, styles: Sequence[np.ndarray], stylizer: "Stylizer") -> np.ndarray:
    """The sheet, uint8 RGB.

    Args:
        content: uint8 RGB ``[h,w,3]``.
        styles: two styles, uint8 RGB ``[h,w,3]``; the second is for mixtures and the mask.
        stylizer: with any model.
    """
    content = images.resize(content, *images.fit_longest_side(content.shape[1], content.shape[0], TILE, 16))
    first, second = styles
    tiles: List[Tuple[str, np.ndarray]] = [("content", content), ("style A", first), ("style B", second)]
    for controls in tqdm(list(_variants(stylizer.model)), unit="picture"):
        caption = describe(controls) or "default"
        stylizer.set_style(first)
        try:
            tiles.append((caption, stylizer.stylize(content, controls)))
        except OptionError as error:  # a picture may be too small for patches
            print_message("the sheet omits %s: %s" % (caption, error))
    for weight in (0.7, 0.3):
        stylizer.set_styles(styles, [weight, 1 - weight])
        tiles.append(("weights: A %g, B %g" % (weight, 1 - weight), stylizer.stylize(content)))
    stylizer.set_styles(styles)
    tiles.append(("mask: A, none, B", stylizer.stylize(content, mask=_thirds(content))))
    stylizer.set_style(first)
    tiles.append(("texture of A", stylizer.texture(content.shape[1], content.shape[0])))
    return sheet(tiles)


def _variants(model: str) -> Iterator[Controls]:
    """The `Controls` that the sheet shows with one style."""
    spec = MODELS[model]
    for strength in (1.0, 0.6, 0.3):
        yield Controls(strength=strength)
    for level in spec.levels:
        yield Controls(levels=(level,))
    yield Controls(level_strength={spec.levels[0]: 0.3})
    for method in METHODS:
        if method != spec.method:
            yield Controls(method=method)
    yield Controls(swap=0.8, swap_stride=2)
    yield Controls(passes=2)
    for kept in ("luminance", "coral"):
        yield Controls(keep_colours=kept)
    yield Controls(saturation=0.3)
    yield Controls(style_scale=0.5)
    yield Controls(style_crop=0.4)


def _thirds(content: np.ndarray) -> np.ndarray:
    """Labels of the content's size: 1 on the left, 0 in the middle, 2 on the right."""
    labels = np.zeros(content.shape[:2], np.uint8)
    third = content.shape[1] // 3
    labels[:, :third], labels[:, -third:] = 1, 2
    return labels


def sheet(tiles: Sequence[Tuple[str, np.ndarray]], columns: int = COLUMNS) -> np.ndarray:
    """``[(caption, uint8 RGB), ...]`` on one white sheet, row by row, each fitted into the size of the first."""
    height, width = tiles[0][1].shape[:2]
    font = ImageFont.load_default(FONT)
    column_width = GAP + max([width, *(int(font.getlength(caption)) + 1 for caption, _ in tiles)])
    row_height = GAP + height + CAPTION
    rows = -(-len(tiles) // columns)
    picture = Image.new("RGB", (columns * column_width + GAP, rows * row_height + GAP), "white")
    pen = ImageDraw.Draw(picture)
    for n, (caption, rgb) in enumerate(tiles):
        x, y = GAP + n % columns * column_width, GAP + n // columns * row_height
        scale = min(width / rgb.shape[1], height / rgb.shape[0])
        fitted = images.resize(rgb, *(max(1, round(side * scale)) for side in rgb.shape[1::-1]))
        picture.paste(Image.fromarray(fitted), (x, y))
        pen.text((x, y + height + 2), caption, fill="black", font=font)
    return np.asarray(picture)
