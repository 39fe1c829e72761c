"""The command ``gallery``: one picture through all the controls, drawn as a sheet: what there is, at a glance."""
import warnings

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from ..controls import METHODS, MODELS, Controls, check_model, describe, within
from ..errors import OptionError
from ..media import images
from ..models import weights
from . import inputs
from .common import add_network, find_styles

TILE = 256  # pixels, the longer side of the content on the sheet
FONT = 13  # pixels
CAPTION = 18  # pixels below each picture
GAP = 6  # pixels between tiles
COLUMNS = 5
GALLERY_STYLES = ["flow_night", "mosaic"]


def add_to(commands):
    """Add the command ``gallery`` to the command line's ``commands``."""
    parser = commands.add_parser("gallery", help="one picture through all the controls, on a sheet",
                                 usage="%(prog)s CONTENT -o OUT [--style S ...] [option ...]")
    parser.add_argument("content", metavar="CONTENT", help="a picture")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="the sheet, a picture")
    add_network(parser, "cascade")


def run(args):
    """Draw one picture through all the controls on a sheet."""
    check_model(args.model, args.dtype)
    within("--max-memory", args.max_memory, 0, 1e7)
    names = args.style or []
    if len(names) > 2:
        raise OptionError("a sheet shows two styles, not %d" % len(names))
    paths = find_styles((names + [name for name in GALLERY_STYLES if name not in names])[:2])
    content, styles = images.read(args.content), [images.read(path) for path in paths]
    inputs.check_files([inputs.Job(args.content, paths, args.output)])
    weights.load(args.model, args.weights_dir)

    from ..stylizer import Stylizer

    images.write(args.output, draw(content, styles, Stylizer(args.model, args.dtype, args.weights_dir,
                                                            max_memory=args.max_memory)))


def draw(content, styles, stylizer):
    """The sheet, uint8 RGB.

    Args:
        content: uint8 RGB ``[h,w,3]``.
        styles: two styles, uint8 RGB ``[h,w,3]``; the second is for mixtures and the mask.
        stylizer: `stylizer.Stylizer`.
    """
    content = images.resize(content, *images.scaled_size(content.shape[1], content.shape[0], TILE, 16))
    first, second = styles
    tiles = [("content", content), ("style A", first), ("style B", second)]
    for controls in tqdm(list(_variants(stylizer.model)), unit="picture"):
        caption = describe(controls) or "by default"
        stylizer.set_style(first)
        try:
            tiles.append((caption, stylizer.stylize(content, controls)))
        except OptionError as error:  # a picture may be too small for patches
            warnings.warn("the sheet does not show %s: %s" % (caption, error), stacklevel=2)
    for share in (0.7, 0.3):
        stylizer.set_styles(styles, [share, 1 - share])
        tiles.append(("weights: A %g, B %g" % (share, 1 - share), stylizer.stylize(content)))
    stylizer.set_styles(styles)
    tiles.append(("mask: A, none, B", stylizer.stylize(content, mask=_thirds(content))))
    stylizer.set_style(first)
    tiles.append(("texture of A", stylizer.texture(content.shape[1], content.shape[0])))
    return sheet(tiles)


def _variants(model):
    """The `Controls` that the sheet shows with one style."""
    own = MODELS[model]
    for strength in (1.0, 0.6, 0.3):
        yield Controls(strength=strength)
    for level in own.levels:
        yield Controls(levels=(level,))
    yield Controls(level_strength={own.levels[0]: 0.3})
    for method in METHODS:
        if method != own.method:
            yield Controls(method=method)
    yield Controls(swap=0.8, swap_stride=2)
    yield Controls(passes=2)
    for kept in ("luminance", "coral"):
        yield Controls(keep_colours=kept)
    yield Controls(style_scale=0.5)
    yield Controls(style_crop=0.4)


def _thirds(content):
    labels = np.zeros(content.shape[:2], np.uint8)
    third = content.shape[1] // 3
    labels[:, :third], labels[:, -third:] = 1, 2
    return labels


def sheet(tiles, columns=COLUMNS):
    """``[(caption, uint8 RGB), ...]`` on one white sheet, row by row, each as large as fits into the first's sides."""
    height, width = tiles[0][1].shape[:2]
    font = ImageFont.load_default(FONT)
    across = GAP + max([width, *(int(font.getlength(caption)) + 1 for caption, _ in tiles)])
    down = GAP + height + CAPTION
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (columns * across + GAP, rows * down + GAP), "white")
    pen = ImageDraw.Draw(canvas)
    for n, (caption, rgb) in enumerate(tiles):
        x, y = GAP + n % columns * across, GAP + n // columns * down
        scale = min(width / rgb.shape[1], height / rgb.shape[0])
        fitted = images.resize(rgb, *(max(1, round(side * scale)) for side in rgb.shape[1::-1]))
        canvas.paste(Image.fromarray(fitted), (x, y))
        pen.text((x, y + height + 2), caption, fill="black", font=font)
    return np.asarray(canvas)
