"""Paint the included styles procedurally, from a seed: ``python -m ros_style_transfer.training.paint_styles``.

Most painters first make a `scene` of flat colors and a field of directions, then apply a medium to it.
Brushes draw on a canvas of four channels: red, green, blue and height, which the light on thick paint needs.
"""

import argparse
import os
import zlib

import cv2
import numpy as np
from tqdm import tqdm

from ..media.style_library import SHIPPED

SIZE = 1024  # twice the size of the saved picture, whose downscaling smooths the edges
MAX_BYTES = 100000  # of a saved picture
Y, X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE


# ---- tools ---------------------------------------------------------------------------------------


def palette_colors(palette):
    """Hexadecimal colors, such as ``"0a1030 ffd766"``, as an array [n, 3]."""
    return np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in palette.split()], np.float32)


def ramp(t, palette):
    """Colors of a palette interpolated at ``t``, 0..1."""
    table = palette_colors(palette)
    stops = np.linspace(0, 1, len(table))
    return np.stack([np.interp(t, stops, table[:, k]) for k in range(3)], -1).astype(np.float32)


def smoothstep(low, high, x):
    """A smooth step from 0 at ``low`` to 1 at ``high``, which may be less than ``low``."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def blur(field, sigma):
    """A Gaussian blur."""
    return cv2.GaussianBlur(np.asarray(field, np.float32), (0, 0), sigma)


def polar(turn, radius=1.0):
    """Vectors (x, y) with these directions and lengths."""
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], -1)


def noise(rng, cells, octaves=4):
    """Smooth noise, 0..1, with ``cells`` cells per side (one number, or rows and columns)."""
    rows, columns = (cells, cells) if np.isscalar(cells) else cells
    total = np.zeros((SIZE, SIZE), np.float32)
    for k in range(octaves):
        lattice = rng.standard_normal((min(rows << k, SIZE) + 3, min(columns << k, SIZE) + 3))
        total += cv2.resize(lattice.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) / 2**k
    return np.clip(0.5 + total / (4 * total.std()), 0, 1)


def ridge(rng, base, height, cells, octaves=6):
    """The skyline of hills: y for every x, [1, SIZE]."""
    return base - height * (noise(rng, cells, octaves)[SIZE // 2][None] - 0.5)


def descent(line_y, smooth):
    """The slope of a skyline, positive downwards."""
    return blur(np.gradient(line_y, axis=1) * SIZE, smooth)


def cover(scene, colour, mask):
    """Cover the scene with a color or a picture inside the mask."""
    colour = palette_colors(colour)[0] if isinstance(colour, str) else colour
    scene += (colour - scene) * mask[..., None]


def sample(field, points):
    """The values of a field at points (x, y) in pixels."""
    x, y = np.clip(points, 0, SIZE - 1).astype(int).T
    return field[y.T, x.T]


def trace_paths(angle, start, length, stride=6):
    """Paths [n, points, 2] along a field of angles, ``length`` pixels long, centered at ``start``."""
    halves = []
    for sign in (-stride, stride):
        path = [start]
        for _ in range(max(1, int(length / stride / 2))):
            path.append(path[-1] + polar(sample(angle, path[-1]), sign))
        halves.append(path)
    return np.stack(halves[0][:0:-1] + halves[1], 1)


def to_fixed_point(points):
    """Pixels in sixteenths, the fixed-point format of OpenCV's drawing functions."""
    return np.round(np.asarray(points) * 16).astype(np.int32)


def line(canvas, points, colour, thickness):
    """A polyline."""
    cv2.polylines(canvas, [to_fixed_point(points)], False, tuple(map(float, colour)), int(thickness), cv2.LINE_AA, 4)


def fill(canvas, points, colour):
    """A polygon."""
    cv2.fillPoly(canvas, [to_fixed_point(points)], tuple(map(float, np.atleast_1d(colour))), cv2.LINE_AA, 4)


def dot(canvas, point, radius, colour):
    """A disc."""
    x, y, r = to_fixed_point([*point, radius]).tolist()
    cv2.circle(canvas, (x, y), r, tuple(map(float, np.atleast_1d(colour))), -1, cv2.LINE_AA, 4)


def brush(canvas, rng, path, width, colour, streaks=0.10, rim=60, taper=0.6, load=110, rough=40):
    """One stroke of parallel bristles, each with its own shade, length and amount of paint."""
    count = max(3, int(width / 2.6))
    along = np.gradient(path, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], -1) / (np.linalg.norm(along, axis=1)[:, None] + 1e-6)
    swell = 1 - taper * np.linspace(-1, 1, len(path)) ** 4
    for o in rng.permutation(np.linspace(-1, 1, count)):
        ends = np.ceil(rng.random(2) * (0.1 + 0.2 * o * o) * len(path)).astype(int)
        reach = slice(ends[0] - 1 if ends[0] else 0, max(len(path) - ends[1], ends[0] + 2))
        points = path + across * (swell * (o + 0.1 * rng.standard_normal()) * width / 2)[:, None]
        shade = np.clip(colour * (1 + streaks * rng.standard_normal()), 0, 255)
        paint = np.clip(load + rim * abs(o) ** 3 + rough * rng.standard_normal(), 1, 255)
        line(canvas, points[reach], (*shade, paint), 1 + 1.5 * width / count)


def overpaint(rng, canvas, scene, angle, width, length, count, jitter, keep, **style):
    """Cover the canvas with strokes that take the scene's color and stop where the scene changes."""
    start = rng.random((count, 2)).astype(np.float32) * SIZE
    for path in trace_paths(angle, start, length):
        colour = sample(scene, path[len(path) // 2])
        same = np.abs(sample(scene, path) - colour).sum(-1) < keep
        middle = len(path) // 2
        first = middle - np.argmin(np.r_[same[middle::-1], False]) + 1
        last = middle + np.argmin(np.r_[same[middle:], False])
        path = path[max(first, 0) : last]
        if len(path) > 2:
            tone = rng.standard_normal() + 0.5 * rng.standard_normal(3)
            brush(canvas, rng, path, width * rng.uniform(0.6, 1.3), colour + jitter * tone, **style)


def relief(canvas, strength=1.0, shine=0.0):
    """The canvas as RGB in raking light from the upper left."""
    height = blur(canvas[..., 3], 1.2)
    steep = strength / 160 * (cv2.Sobel(height, -1, 1, 0) + cv2.Sobel(height, -1, 0, 1))[..., None]
    return canvas[..., :3] * np.clip(1 + steep, 0.45, 1.5) + shine * 255 * np.clip(steep - 0.25, 0, 0.6)


def underpainted(scene):
    """A canvas with the scene as a thin underpainting."""
    return np.dstack([np.clip(scene, 0, 255), np.full((SIZE, SIZE), 60)]).astype(np.uint8)


def blank(channels=4):
    """A canvas without paint."""
    return np.squeeze(np.zeros((SIZE, SIZE, channels), np.uint8))


def edge_distance(labels):
    """The distance in pixels to the nearest edge between labels."""
    edge = np.ones(labels.shape, np.uint8)
    edge[:, 1:] &= labels[:, 1:] == labels[:, :-1]
    edge[1:] &= labels[1:] == labels[:-1]
    return cv2.distanceTransform(edge, cv2.DIST_L2, 5)


def paper(rng, colour, tooth=0.06):
    """Rough paper with a few fibres: color [h, w, 3] and grain, 0..1."""
    grain = 0.6 * noise(rng, 256, 2) + 0.4 * noise(rng, (90, 300), 2)
    sheet = palette_colors(colour)[0] * (1 + tooth * (grain + noise(rng, 3) - 1))[..., None]
    return sheet.astype(np.float32), grain


def stain(sheet, pigment, density):
    """Transparent paint: light passes through the pigment in proportion to its density."""
    sheet *= (palette_colors(pigment)[0] / 255 + 0.004) ** density[..., None]


# ---- painters ------------------------------------------------------------------------------------


def flow_night(rng):
    """Oil: whirling lights in a deep blue night over dark hills."""
    u, v, glow = 1 + 0 * X, 0.6 * np.sin(7 * X + 4 * Y), 0 * X
    for x, y, r, spin in (
        (0.20, 0.20, 0.10, 1),
        (0.53, 0.36, 0.15, -1),
        (0.80, 0.14, 0.13, 1),
        (0.87, 0.50, 0.06, -1),
        (0.12, 0.52, 0.06, 1),
        (0.42, 0.09, 0.05, 1),
        (0.34, 0.58, 0.04, 1),
    ):
        d = np.hypot(X - x, Y - y) + 1e-4
        pull = 5 * spin * np.exp(-((d / r / 1.5) ** 2))
        u, v = u - pull * (Y - y) / d, v + pull * (X - x) / d
        glow = np.maximum(glow, np.exp(-((d / r) ** 1.3)) * (1 + 0.3 * np.cos(d / r * 8)))
    angle = np.arctan2(v, u)
    # Noise blurred along the flow makes bands, which the strokes follow.
    bands = noise(rng, 7, 3)
    for _ in range(8):
        ahead = np.dstack([SIZE * X, SIZE * Y]) + polar(angle, 14)
        bands = 0.5 * (bands + cv2.remap(bands, ahead.astype(np.float32), None, cv2.INTER_LINEAR))
    scene = ramp(0.1 + 0.75 * bands - 0.15 * Y, "060b2b 0d1f5c 1b3f94 2f6fc0 6fb3d9")
    cover(scene, ramp(glow, "1f55a8 3f92c4 9cc29a f2cf4e ffdf5c fff8d2"), smoothstep(0.02, 0.3, glow))
    for k, tone in enumerate(("12325e", "0c2347", "071430")):
        line_y = ridge(rng, 0.74 + 0.09 * k, 0.22, 3)
        hill = smoothstep(0, 0.004, Y - line_y)
        cover(scene, ramp(noise(rng, 9), tone + " 1c4a63"), hill)
        angle = np.where(hill > 0.5, np.arctan(descent(line_y, 25)) + 0.5 * np.sin(9 * Y), angle)
    canvas = underpainted(scene * 0.6)
    for width, length, count in ((30, 200, 1300), (17, 130, 2600), (10, 80, 2600)):
        overpaint(rng, canvas, scene, angle, width, length, count, jitter=13, keep=150)
    for x, y in rng.uniform((0.02, 0.8), (0.98, 0.97), (34, 2)):  # lit windows
        path = SIZE * np.array([(x, y), (x, y + 0.009), (x, y + 0.018)])
        brush(canvas, rng, path, 10, palette_colors("ffc845")[0], rim=0)
    return relief(canvas, 1.0, 0.15)


def sunset_impasto(rng):
    """Palette knife: a low sun between burning clouds and a violet sea."""
    sun_x, sun_y, horizon = 0.63, 0.46, 0.6
    d = np.hypot(X - sun_x, Y - sun_y)
    clouds = noise(rng, (7, 3), 4)
    scene = ramp(1.05 - d * 1.25 - 0.45 * (clouds - 0.5), "3b1247 7a1c4b c22f3c ee5a24 fb9a2c ffd25e")
    cover(
        scene,
        ramp(noise(rng, (10, 3)), "5b1a4f 8d2c57 d8574a"),
        smoothstep(0.58, 0.7, clouds) * smoothstep(0.1, 0.3, d),
    )
    cover(scene, "fff3b8", smoothstep(0.105, 0.1, d))
    swell = noise(rng, (34, 5), 3)
    sea = ramp(0.15 + 0.5 * swell + 0.25 * (1 - Y), "1a0d33 2f1b58 5c2a6b a33b5c e2703f")
    glint = np.exp(-(((X - sun_x) / (0.05 + 0.35 * (Y - horizon))) ** 2))
    cover(sea, ramp(swell, "f2622b ffb13b fff0a8"), smoothstep(0.5, 0.62, glint * 0.6 + swell * 0.45) * (glint > 0.05))
    cover(scene, sea, smoothstep(0, 0.004, Y - horizon))
    shore = np.maximum(ridge(rng, 0.56, 0.16, 4) + 0.35 * (X - 0.02), 0)
    cover(scene, "2a1038", smoothstep(0, 0.004, Y - shore) * (Y < horizon))
    angle = np.where(Y > horizon, 0.12 * np.sin(12 * X + 30 * Y), np.arctan2(X - sun_x, sun_y - Y) * 0.999)
    angle = np.where((Y < horizon) & (d > 0.33), 0.5 * (noise(rng, 4) - 0.5) - 0.2, angle)
    canvas = underpainted(scene * 0.8)
    for width, length, count in ((64, 150, 700), (38, 110, 1300), (22, 80, 1300)):
        overpaint(rng, canvas, scene, angle, width, length, count, 17, 150, streaks=0.05, rim=110, taper=0.1, rough=14)
    return relief(canvas, 1.3, 0.2)


def stained_glass(rng):
    """Leaded glass: a sun with its rays over hills and a river."""
    d, turn = np.hypot(X - 0.5, Y - 0.36), np.arctan2(Y - 0.36, X - 0.5) / (2 * np.pi) + 0.5
    seeds = blank(1) + 1
    seeds[tuple(rng.integers(0, SIZE, (2, 100)))] = 0
    cells = cv2.distanceTransformWithLabels(seeds, 2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]  # Voronoi
    region = (np.floor(turn * 24) + 40 * np.floor((d + 0.02 * np.sin(turn * 75.4)) / 0.13)).astype(np.int32)
    region[d < 0.11] = 999
    tints = [ramp(rng.random(1000), "0d3b9e 1564c8 2ba3d8 5a3fa8 7fd0e0")]
    tints[0][:200:2] = ramp(rng.random(100), "f7b518 f58a1c e8452c ffd84f")
    tints[0][999] = palette_colors("ffe98a")[0]
    for k, shades in enumerate(("1d7a4c 2fa35a 8cc63f", "0c4f63 15808a 3fb89a", "4f7a1c 93ab2a e0c545"), 1):
        below = Y > ridge(rng, 0.535 + 0.125 * k, 0.2, 2, 2)
        region[below] = 1000 * k + cells[below]
        tints.append(ramp(rng.random(1000), shades))
    river = (np.abs(X - 0.5 - 0.16 * np.sin(9 * Y + 0.4) * (Y - 0.4)) < 0.16 * (Y - 0.52)) & (region >= 1000)
    region[river] = 4000 + np.floor((Y[river] + 0.03 * np.sin(20 * X[river])) * 22)
    tints.append(ramp(rng.random(100), "1565c0 35a7e0 9be3ee"))
    edge = edge_distance(region)
    light = 0.66 + 0.35 * noise(rng, (5, 24), 5) + 0.35 * smoothstep(0, 40, edge) + 0.25 * smoothstep(0.7, 0, d)
    glass = np.concatenate(tints)[region] * light[..., None]
    glass = relief(np.dstack([glass, 255 * noise(rng, 40, 3)]), 0.9, 0.3)
    glass += 0.35 * blur(np.clip(glass, 0, 255), 24) - 20
    came = np.dstack([np.full((SIZE, SIZE, 3), (38, 36, 42)), 255 * smoothstep(9, 0, edge)])
    lead = relief(came, 2.2, 0.25) + 14 * rng.standard_normal((SIZE, SIZE, 1))
    cover(glass, lead, smoothstep(9, 7, edge + 2 * (noise(rng, 30, 2) - 0.5)))
    return glass


def woodcut(rng):
    """Black ink on cream, carved along the forms, and one red sun."""
    wobble = noise(rng, 6, 5)
    d = np.hypot(X - 0.66, Y - 0.27)
    phase, tone = 46 * d + 1.6 * wobble, 0.1 + 1.0 * smoothstep(0.1, 0.75, d)
    for k in range(3):
        top = ridge(rng, 0.5 + 0.1 * k, 0.34 - 0.04 * k, 4)
        depth, shadow = Y - top, smoothstep(-0.3, 0.5, descent(top, 9))
        body = depth > 0
        phase = np.where(body, 40 * (X + np.where(shadow > 0.5, -0.55, 0.75) * depth) + 1.2 * wobble, phase)
        tone = np.where(body, 0.2 + 0.75 * shadow - depth * 0.9 + 0.1 * k, tone)
        tone = np.where(np.abs(depth) < 0.005, 2, tone)
    sea = Y > 0.76 + 0.012 * np.sin(22 * X)
    crest = np.sin(15 * X + 22 * Y + 6 * wobble)
    phase = np.where(sea, 64 * Y + 1.1 * crest, phase)
    glitter = np.exp(-(((X - 0.66) / (0.5 * Y - 0.28)) ** 2))
    tone = np.where(sea, 0.55 + 0.3 * crest + 0.5 * (Y - 0.8) - 0.6 * glitter, tone)
    # Darker tones have wider lines, whose width varies a little.
    wave = np.abs(((phase + 0.03 * noise(rng, 90, 2)) % 1) - 0.5) * 2
    ink = smoothstep(-0.13, 0.13, tone + 0.35 * (wobble - 0.5) + 0.1 * (noise(rng, 120, 2) - 0.5) - wave) * (d > 0.155)
    sheet, grain = paper(rng, "f2e6c8", 0.08)
    cover(sheet, "c8321f", smoothstep(0.146, 0.143, d + 0.006 * noise(rng, 40, 2)) * smoothstep(0.1, 0.3, grain))
    cover(sheet, "17130f", ink * (0.82 + 0.18 * smoothstep(0.2, 0.4, grain)))
    return sheet


def mosaic(rng):
    """Tesserae in rows along the contours of two koi, red and cream in turquoise water."""
    scene = ramp(noise(rng, 5, 3), "0f4a63 16708a 1f98a3 4fc0b4")
    cover(scene, "c9ecd9", smoothstep(0.965, 1, np.sin(70 * np.hypot(X - 0.5, Y - 0.5) + 5 * noise(rng, 4))))
    fish = blank(1)
    s = np.linspace(0, 1, 120)
    girth = SIZE * (0.09 * np.sin(np.pi * np.clip(s, 0.04, 1) ** 0.62) ** 0.8 + 0.014)
    for turn in (0, np.pi):
        body, fins, bend = fish * 0, fish * 0, turn + 0.2 + 2.2 * s
        out = polar(bend)
        spine = SIZE * (0.5 + (0.27 + 0.05 * np.sin(5 * s))[:, None] * out)
        ahead = np.gradient(spine, axis=0)
        ahead /= np.linalg.norm(ahead, axis=1)[:, None]
        for side in (-1, 1):
            tip = spine[-1] + 130 * ahead[-1] + 100 * side * out[-1]
            fill(fins, [spine[-14], tip - 50 * ahead[-1], tip, spine[-1] + 55 * ahead[-1]], 255)
            root = spine[36] + side * 0.6 * girth[36] * out[36]
            tip = root + 60 * ahead[36] + 115 * side * out[36]
            fill(fins, [root - 30 * ahead[36], tip, root + 70 * ahead[36]], 255)
        for p, r in zip(spine, girth):
            dot(body, p, r, 255)
        coat = noise(rng, 5, 3)
        cover(scene, ramp(noise(rng, 9), "e8a33a f7d27a"), fins / 255.0)
        cover(scene, "f6ead2", body / 255.0)
        cover(scene, ramp(noise(rng, 12), "b3261e e2471f f0762b"), (coat > 0.5) * (body / 255.0))
        cover(scene, "141a26", ((coat > 0.62) & (noise(rng, 9) > 0.5)) * (body / 255.0))
        fish |= body | fins
    fish = (fish > 127).astype(np.uint8)
    signed = blur(cv2.distanceTransform(1 - fish, 2, 5) - cv2.distanceTransform(fish, 2, 5), 3)
    ground = np.full((SIZE, SIZE, 4), (58, 54, 52, 40), np.uint8)
    taken = np.zeros((SIZE + 40, SIZE + 40), np.uint8)

    def stone(p, along, size):
        """Set a stone unless other stones cover too much of its place."""
        square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) + rng.uniform(-0.1, 0.1, (4, 2))
        corners = square @ np.array([along, (-along[1], along[0])]) * size / 2
        mask, corner = np.zeros((40, 40), np.uint8), p.astype(int)
        fill(mask, corners + 20, 1)
        there = taken[corner[1] : corner[1] + 40, corner[0] : corner[0] + 40]
        if 3 < p.min() and p.max() < SIZE - 4 and (mask & there).sum() < 0.06 * mask.sum():
            there |= mask
            tone = sample(scene, p) * (1 + 0.1 * rng.standard_normal()) + 6 * rng.standard_normal(3)
            for inset, load in ((1, 130), (0.82, 180), (0.66, 190)):
                fill(ground, p + corners * inset, (*np.clip(tone, 0, 255), load + rng.uniform(-9, 9)))

    for level in sorted(np.arange(-6.5, 28) * 19, key=abs):
        inside = (signed > level).astype(np.uint8)
        for row in cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]:
            row = row[:, 0].astype(np.float32)
            for k in range(0, len(row), 3):
                along = row[(k + 4) % len(row)] - row[k - 4]
                stone(row[k], along / (np.linalg.norm(along) + 1e-6), 17)
    for size in (15, 12, 9):  # fills the gaps between the rows
        for p, way in zip(rng.random((2500, 2)) * SIZE, polar(rng.uniform(0, np.pi, 2500))):
            stone(p, way, size)
    return relief(ground, 1.0, 0.2) * (0.94 + 0.12 * noise(rng, 200, 2))[..., None]


def ink_wash(rng):
    """Sumi-e: mountains in mist, a bamboo in front, a red seal."""
    sheet, grain = paper(rng, "efe6d2", 0.10)
    for k in range(5):
        top = ridge(rng, 0.30 + 0.11 * k, 0.34 - 0.03 * k, 2 + k // 2)
        depth = Y - top
        fade = np.maximum(depth, 0)
        bleed = depth + 0.008 * (noise(rng, 30, 3) - 0.5) * (k + 1)
        wash = np.exp(-fade / (0.08 + 0.03 * noise(rng, 4))) * smoothstep(-0.004, 0.005 - 0.0007 * k, bleed)
        wrinkles = smoothstep(0.5, 0.75, noise(rng, (10, 44), 4)) * np.exp(-fade / 0.10)
        rim = np.exp(-np.abs(bleed) / 0.006)
        density = (0.16 + 0.17 * k) * (wash * (0.75 + 0.6 * wrinkles) + 0.35 * rim * noise(rng, 7))
        stain(sheet, "39414d", density * (0.85 + 0.3 * grain))
    stain(sheet, "2d3440", 0.25 * smoothstep(0.9, 1.02, Y + 0.1 * noise(rng, 4)))
    stain(
        sheet, "c8442e", 0.75 * smoothstep(0.062, 0.058, np.hypot(X - 0.30, Y - 0.17) + 0.01 * (noise(rng, 20) - 0.5))
    )
    canvas = blank()  # ink in the last channel
    t = np.linspace(0, 1, 16)[:, None]
    for x, lean, width, load in ((0.74, 0.05, 17, 60), (0.95, 0.02, 26, 90), (0.86, -0.06, 36, 130)):
        joints = SIZE * np.array([(x + lean * k, 1.05 - 0.19 * k) for k in range(7)])
        for low, high in zip(joints, joints[1:]):
            stalk = low + t * (high - low) * 0.95
            brush(canvas, rng, stalk, width, np.zeros(3), rim=70, taper=-0.15, load=load)
            for root in high + rng.uniform(-70, 70, (rng.integers(0, 3), 2)):
                for a in np.pi / 2 + np.linspace(-1.1, 1.1, rng.integers(3, 6)) + 0.25 * rng.standard_normal():
                    way = polar(a)
                    spine = root + t * rng.uniform(110, 200) * way + np.array([0, 34]) * t**2
                    half = rng.uniform(9, 14) * np.sin(np.pi * t**0.75) * np.array([-way[1], way[0]])
                    leaf = np.concatenate([spine - half, (spine + half)[::-1]])
                    fill(canvas, leaf, (0, 0, 0, load * rng.uniform(0.7, 1.8)))
    ink = blur(canvas[..., 3], 1.5) / 255
    stain(sheet, "14171c", 1.5 * ink * (0.45 + 0.5 * noise(rng, 9) + 0.5 * grain))
    seal = (np.abs(X - 0.11) < 0.03) & (np.abs(Y - 0.84) < 0.04) & (grain > 0.3)
    signs = np.abs(np.sin(115 * X + 2 * (np.sin(90 * Y) > 0))) > 0.45
    stain(sheet, "b3201a", 1.3 * blur(seal & signs, 1))
    return sheet


def pointillism(rng):
    """Dots of complementary colours: a park by the water on a summer afternoon."""
    scene = ramp(Y / 0.45 + 0.3 * (noise(rng, 4) - 0.5), "7fb2e5 a9cdec f4dfc0 fbe8b0")
    cover(scene, ramp(noise(rng, (40, 6)), "4f86c6 7fb4d8 b9dbe0 f2e2b0"), smoothstep(0, 0.004, Y - 0.42))
    cover(
        scene, ramp(noise(rng, 12), "3d7a6b 6aa36f"), smoothstep(0, 0.004, Y - ridge(rng, 0.40, 0.10, 5)) * (Y < 0.44)
    )
    grass, light = Y > 0.50 + 0.30 * X**2 + 0.02 * np.sin(9 * X), noise(rng, 3)
    cover(scene, ramp(light, "3f7d2c 7fb53a c5d84a f0e36a"), grass)
    shade = smoothstep(0.55, 0.62, noise(rng, (9, 3)) + 0.5 * (Y - 0.75)) * grass
    cover(scene, ramp(light * 0.6, "2a4f7a 2f6a4f 5b9a3c"), shade)
    cover(scene, "f3c9a0", np.abs(X - 0.62 + 0.5 * (Y - 0.7) - 0.12 * np.sin(7 * Y)) < 0.25 * (Y - 0.56))
    for x, y, r in ((0.16, 0.24, 0.2), (0.9, 0.30, 0.17), (0.02, 0.4, 0.12), (0.62, 0.36, 0.07), (0.72, 0.37, 0.06)):
        trunk = (np.abs(X - x - 0.01 * np.sin(20 * Y)) < 0.1 * r) & (Y > y) & (Y < y + 1.9 * r)
        cover(scene, ramp(smoothstep(-0.1 * r, 0.1 * r, X - x), "8a4a6b 3c2a5c"), trunk)
        d = np.hypot(X - x, (Y - y) * 1.15) / r + 0.7 * (noise(rng, 12) - 0.5)
        sunny = 0.5 + 0.9 * (noise(rng, 10) - 0.5) + 0.45 * (X - x + y - Y) / r
        cover(scene, ramp(sunny, "1f3d66 1f6b4a 3f9a45 9cc63f f2c84a"), d < 1)
    for x, y, h in ((0.40, 0.49, 0.13), (0.55, 0.46, 0.07)):  # sails
        side = np.where(X > x, 0.55, 0.3) * np.clip(Y - y + h, 0, None)
        cover(scene, ramp(smoothstep(x - 0.01, x + 0.01, X), "fff4dc f0803a"), (np.abs(X - x) < side) & (Y < y))
        cover(scene, "5a2a4a", (np.abs(X - x) < 0.5 * h) & (np.abs(Y - y - 0.006) < 0.008))
    canvas = underpainted(0.5 * scene + 0.5 * palette_colors("f1e4c8")[0])
    for radius, count in ((9, 17000), (6.5, 26000), (5, 16000)):
        points = rng.random((count, 2)) * SIZE
        tone = sample(scene, points)
        grey = tone.mean(-1, keepdims=True)
        # One dot in six has the complementary color of its neighbours and the same brightness.
        tone = np.where(rng.random((count, 1)) < 0.16, grey + 1.3 * (grey - tone), tone)
        tone = tone * (1 + 0.10 * rng.standard_normal((count, 1))) + 20 * rng.standard_normal((count, 3))
        for p, r, c in zip(points, radius * rng.uniform(0.7, 1.2, count), np.clip(tone, 0, 255)):
            dot(canvas, p, r, (*c, 130))
            dot(canvas, p, 0.44 * r, (*c, 190))
    return relief(canvas, 0.45)


def watercolour(rng):
    """Watercolour: poppies and cornflowers, wet in wet, on rough paper."""
    sheet, grain = paper(rng, "fbf7ee", 0.07)
    ripples, drifts = noise(rng, 24, 4), [noise(rng, 5, 4) for _ in range(6)]

    def wash(outline, pigments, strength, ragged=8, edge=0.6):
        """A pool of paint that dries darker at its edge and settles in the paper's hollows."""
        mask = blank(1)
        fill(mask, outline, 255)
        x, y, w, h = cv2.boundingRect(mask)
        m = 4 * ragged
        box = np.s_[max(y - m, 0) : y + h + m, max(x - m, 0) : x + w + m]
        soft = blur(mask[box], ragged) / 255 + 0.9 * (ripples[box] - 0.5)
        rim = np.exp(-cv2.distanceTransform((soft > 0.5).astype(np.uint8), 2, 5) / 4.5)
        density = smoothstep(0.47, 0.53, soft) * (0.35 + 0.9 * drifts[rng.integers(6)][box] + edge * rim)
        stain(sheet[box], rng.choice(pigments.split()), strength * density * (0.72 + 0.56 * grain[box]))

    def blob(centre, radius, flat=1.0, turn=0.0, lobes=0.1):
        """An irregular ellipse."""
        a = np.linspace(0, 2 * np.pi, 60)
        r = radius * (1 + lobes * np.sin(5 * a + rng.uniform(0, 6)) + 0.1 * np.sin(3 * a + rng.uniform(0, 6)))
        x, y = polar(a, r).T[..., None]
        return centre + x * polar(turn) + flat * y * polar(turn + np.pi / 2)

    for p in rng.random((14, 2)) * SIZE:
        pool = blob(p, rng.uniform(120, 260), 0.7, rng.uniform(0, 3))
        wash(pool, "a9d6e5 cfe8c9 f6d6c0 d9cdee fbeab5", 0.8, 18, 0.25)
    heads = SIZE * np.array(
        [(0.3, 0.3), (0.68, 0.22), (0.52, 0.52), (0.83, 0.5), (0.15, 0.58), (0.4, 0.75), (0.72, 0.74)]
    )
    sizes = 1.3, 1.0, 1.1, 0.85, 0.85, 0.75, 0.8
    s = np.linspace(0, 1, 20)[:, None]
    for p in heads:
        stem = p + (np.array([0.5 * SIZE + 0.3 * (p[0] - 0.5 * SIZE), 1.05 * SIZE]) - p) * np.hstack([s**2, s])
        wash(np.concatenate([stem - (5, 0), stem[::-1] + (5, 0)]), "6f9a5a", 1.2, 2)
        for root, turn in zip(stem[rng.integers(6, 18, 2)], rng.choice((-0.8, 0.8, 3.9, 2.3), 2)):
            reach = rng.uniform(60, 110)
            leaf = blob(root + polar(turn, reach), reach, 0.28, turn)
            wash(leaf, "7fae6b 5f9a7a a5bf62", 1, 5)
    for k, (p, size) in enumerate(zip(heads, sizes)):
        poppy = k % 3 != 1
        r, flat = (78 * size, 0.8) if poppy else (62 * size, 0.42)
        petals = "f47a68 f89a72 f2698a fab08c" if poppy else "8497e4 a18ae0 78b2ec"
        for turn in np.linspace(0, 2 * np.pi, 6 if poppy else 9)[:-1] + rng.uniform(0, 6):
            wash(blob(p + polar(turn, 0.85 * r), r, flat, turn, 0.06), petals, rng.uniform(0.6, 1.1), 7)
        wash(blob(p, 24 * size), "3a2d4f" if poppy else "c9a23a", 1, 5)
    for p, r in zip(rng.random((60, 2)) * SIZE, rng.exponential(5, 60) + 2):
        wash(blob(p, r), "ee4f6a 6a7fd6 7fae6b f7a07a", 0.9, 1)
    return sheet


def cubism(rng):
    """A still life with a guitar and a bottle, seen from many sides."""
    still = ramp(noise(rng, 3) * 0.5 + 0.5 * Y, "4f6274 8b979c c9b78c 8a6234")
    cover(still, "5c4028", smoothstep(0.80, 0.805, Y + 0.12 * X))
    still = still.astype(np.uint8)  # OpenCV smooths edges in bytes only
    for a, tone in ((0.205, "3d2414"), (0.185, "d08a30")):
        for x, y, b in ((0.54, 0.67, 1), (0.65, 0.46, 0.78)):
            box = ((x * SIZE, y * SIZE), (2 * a * b * SIZE, 1.75 * a * b * SIZE), -60)
            cv2.ellipse(still, box, palette_colors(tone)[0].tolist(), -1, cv2.LINE_AA)
    dot(still, (0.61 * SIZE, 0.55 * SIZE), 64, (36, 22, 18))
    fill(still, SIZE * np.array([(0.60, 0.53), (0.80, 0.05), (0.87, 0.07), (0.66, 0.56)]), palette_colors("2b211c")[0])
    for k in range(5):
        line(still, SIZE * np.array([(0.53 + 0.013 * k, 0.76), (0.81 + 0.011 * k, 0.05)]), (240, 228, 196), 4)
    bottle = [
        (0.18, 0.85),
        (0.18, 0.42),
        (0.24, 0.33),
        (0.24, 0.12),
        (0.32, 0.12),
        (0.32, 0.33),
        (0.38, 0.42),
        (0.38, 0.85),
    ]
    fill(still, SIZE * np.array(bottle), palette_colors("1f4a56")[0])
    fill(still, SIZE * np.array([(0.18, 0.52), (0.38, 0.52), (0.38, 0.68), (0.18, 0.68)]), palette_colors("ead9ae")[0])
    picture, angle = still.astype(np.float32), 0.6 + 0 * X
    lights = "141f2c 5d7c90 eef0ea", "2a170c b8742a fae0a6", "242222 8d8b82 fbf6e8"
    for k in range(64):
        radius = SIZE * (0.32 - 0.22 * (k / 64) ** 0.5)
        centre = SIZE * np.clip(0.5 + 0.30 * rng.standard_normal(2), 0, 1)
        turn = rng.uniform(0, 6) + np.arange(4) * np.pi / 2 + rng.uniform(-0.5, 0.5, 4)
        corners = centre + polar(turn, radius * rng.uniform(0.6, 1.25, 4))
        mask = blank(1)
        fill(mask, corners, 255)
        # Each facet shows the still life from another side, brightest at its first edge.
        move = cv2.getRotationMatrix2D(tuple(map(float, centre)), rng.normal(0, 9), rng.uniform(0.95, 1.2))
        move[:, 2] += rng.normal(0, 20, 2)
        view = cv2.warpAffine(still, move, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)
        lit = turn[0] + np.pi / 4
        along = (np.dstack([SIZE * X, SIZE * Y]) - centre) @ polar(lit, 1 / radius)
        view = 0.6 * view + 0.4 * ramp(0.5 + 0.8 * along, rng.choice(lights))
        cover(picture, view * (1.05 + 0.2 * along)[..., None], smoothstep(-1.1, -0.3, along) * (mask / 255.0))
        angle = np.where((mask > 127) & (along > -0.5), lit + np.pi / 2, angle)
        line(picture, corners[:2], (30, 22, 20), 5)
        line(picture, corners[1:3], (30, 22, 20), 3)
    canvas = underpainted(picture)
    overpaint(rng, canvas, picture, angle, 11, 34, 9000, 8, 30, rim=20, taper=0.2, rough=20, streaks=0.05)
    canvas[..., :3] = 0.55 * canvas[..., :3] + 0.45 * np.clip(picture, 0, 255)  # a thin coat
    return relief(canvas, 0.45) * (0.94 + 0.12 * noise(rng, 150, 2))[..., None]


def neon_lines(rng):
    """Bundles of glowing lines twist over the dark around a ring."""
    light = blank(3).astype(np.float32)

    def glow(path, tone, power):
        one = blank(3)
        line(one, SIZE * path, tone, 2)
        light[...] += one * np.float32(power)

    s, t = np.linspace(-0.05, 1.05, 160), np.linspace(0, 1, 26)
    pairs = "ff2bd6 7a2bff", "00e5ff 2b6bff", "ff7a18 ff2b6b", "9dff3c 00e5a8", "8f5bff 00d5ff"
    for k, pair in enumerate(pairs):
        a, b = (
            0.12
            + 0.19 * k
            + 0.10 * np.sin(2 * np.pi * (rng.uniform(0.5, 1.1) * s + rng.random()))
            + 0.07 * np.sin(2 * np.pi * (rng.uniform(1.1, 2.4) * s + rng.random()))
            for _ in range(2)
        )
        for f, tone in zip(t, ramp(t, pair)):
            y = a + (b - a) * f + 0.05 * np.sin(2 * np.pi * (s * 1.5 + f * 0.5 + k * 0.3)) * (f - 0.5)
            glow(np.stack([s, y], -1), tone, rng.uniform(0.3, 0.9))
    turn = np.linspace(0, 2 * np.pi, 200)
    for k, tone in enumerate(ramp(np.linspace(0, 1, 16), "fff2b0 ff4fa0 7a2bff")):
        glow((0.56, 0.45) + polar(turn, 0.2 + 0.009 * k + 0.014 * np.sin(5 * turn + 0.3 * k)), tone, 0.6)
    light = sum(f * blur(light, sigma) for f, sigma in ((1.2, 0.8), (0.45, 5), (0.4, 18), (0.5, 60))) / 255
    ground = ramp(0.6 * noise(rng, 3) + 0.4 * Y, "05030f 0b0826 160a3a")
    dust = (rng.random((SIZE, SIZE)) > 0.9985) * noise(rng, 5)
    light += 6 * blur(dust, 1.3)[..., None]
    return ground + 255 * (1 - np.exp(-1.25 * light)) + 4 * rng.standard_normal((SIZE, SIZE, 1))


def scales_gold(rng):
    """Ornament: a robe of jewelled scales flows through gold leaf full of spirals."""
    gold = ramp(0.5 * noise(rng, 60, 3) + 0.5 * noise(rng, 4), "7a4a10 b8801f e0b040 f5dc8a")
    canvas = np.dstack([gold, 70 + 60 * noise(rng, 70, 2)]).astype(np.uint8)
    turn = np.linspace(0, 1, 300)
    spots = [np.array([0.17, 0.17, 0.15])]
    for x, y, r in zip(rng.random(4000), rng.random(4000), np.linspace(0.14, 0.022, 4000)):
        if all(np.hypot(*(q[:2] - (x, y))) > q[2] + r + 0.006 for q in spots):
            spots.append(np.array([x, y, r]))
    for x, y, r in spots:
        coil = rng.choice((-1, 1)) * turn * 2 * np.pi * (1.5 + 20 * r) + rng.uniform(0, 6)
        coil = SIZE * ((x, y) + polar(coil, r * turn))
        for width, tone in ((6 + 60 * r, (66, 34, 12, 70)), (3 + 32 * r, (250, 224, 138, 200))):
            line(canvas, coil, tone, width)
        jewel = ramp(rng.random(), "b3202c 0e7a6a 1d3f9a f4ead2")
        dot(canvas, (x * SIZE, y * SIZE), 140 * r + 4, (*jewel, 230))
    robe, radius = blank(), 52
    jewels = (
        "0b4a3a 1f9a70 b8e0a8",
        "0c3b5e 1f88b0 9fe0dc",
        "14206b 3a55c8 b0c0f8",
        "4a1248 a82f80 f0a8c0",
        "6b1420 d0402c f8b868",
    )
    for row in range(48):
        for column in range(-1, 12):
            kind = int(np.clip(row / 9 + 0.6 * rng.standard_normal(), 0, 4))
            shades = ramp(np.linspace(0, 1, 4), jewels[kind])
            for part, tone, load in (
                (1, (246, 214, 120), 200),
                (0.9, (60, 32, 14), 90),
                (0.84, shades[0], 120),
                (0.66, (236, 196, 96), 190),
                (0.6, shades[1], 130),
                (0.42, shades[2], 140),
                (0.22, (250, 226, 140), 200),
                (0.13, shades[3], 170),
            ):
                centre = (2 * column + row % 2) * radius, SIZE + 90 - row * radius * 0.62
                dot(robe, centre, radius * part, (*tone, load))
    u, v = X + 0.05 * np.sin(6 * Y + 1) + 0.25 * (Y - 0.5), 0.04 + 0.92 * Y + 0.04 * np.sin(7 * X)
    robe = cv2.remap(robe, SIZE * u, SIZE * v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    edge = np.abs(X - 0.55 - 0.16 * np.sin(5.2 * Y + 0.6) + 0.32 * (Y - 0.5)) - (0.16 + 0.16 * Y)
    picture = canvas.astype(np.float32)
    cover(picture, robe, smoothstep(0.003, -0.003, edge))
    for width, tone in ((0.015, (40, 22, 14, 60)), (0.008, (252, 226, 140, 230))):
        cover(picture, np.array(tone, np.float32), smoothstep(width + 0.002, width - 0.002, np.abs(edge)))
    return relief(picture, 0.7, 0.25) * (0.92 + 0.16 * noise(rng, 180, 2))[..., None]


def chalk(rng):
    """Soft pastels on dark paper: a birch wood at dawn."""
    sheet, grain = paper(rng, "1c2233", 0.3)
    dawn = np.exp(-(((X - 0.56) / 0.3) ** 2) - ((Y - 0.6) / 0.3) ** 2)
    scene = ramp(0.7 * dawn + 0.4 * noise(rng, 6) - 0.05, "16303f 1f5560 3f7f88 8f7fb0 e08fa0 f9c9a8 fff0c8")
    cover(
        scene,
        ramp(noise(rng, (16, 6)) + 0.3 * dawn - 0.1, "1a2438 3a3560 1f6a66 5fa58a e0a0a8"),
        smoothstep(0.72, 0.76, Y + 0.03 * np.sin(8 * X)),
    )
    angle = np.where(Y > 0.74, 0.1, 1.1) + 1.2 * (noise(rng, 5) - 0.5)
    for k, x in enumerate(np.r_[rng.uniform(0, 1, 9), 0.14, 0.40, 0.82, 0.95]):
        near = k >= 9
        width, foot = rng.uniform((0.03, 0.9), (0.045, 1.1)) if near else rng.uniform((0.008, 0.74), (0.02, 0.84))
        middle = x + 0.015 * np.sin(5 * Y + 9 * x) + 0.04 * (Y - 0.5) * np.sin(40 * x)
        side = (X - middle) / width * (1.2 - 0.4 * Y)
        bark = ramp(0.5 - 0.5 * side, "3f4a86 8a98c8 eee6e0 fffaf0" if near else "4a4a80 8f88b8 d8c0cc")
        scars = smoothstep(0.64, 0.7, noise(rng, (50, 7), 3)) * near
        cover(bark, "231f36", scars)
        body = smoothstep(1.05, 0.95, np.abs(side)) * (Y < foot)
        cover(scene, bark, body)
        angle = np.where(body > 0.5, np.where(scars > 0.5, 0, 1.5), angle)

    def rub(stick, press):
        """Chalk covers the hills of the paper, whose color shows in the hollows."""
        hold = np.clip(press + (stick[..., 3] - 110.0) / 140 - 1.3 * (grain - 0.5), 0, 1) * (stick[..., 3] > 0)
        cover(sheet, stick[..., :3].astype(np.float32), hold)

    rub(underpainted(scene * 0.7), 0.9)
    for width, length, count in ((34, 150, 700), (20, 100, 1500), (11, 70, 2600)):
        stick = blank()
        overpaint(rng, stick, scene, angle, width, length, count, 17, 80, rim=-40, taper=0.2, rough=60, streaks=0.05)
        rub(stick, 0.5)
    stick, clumps = blank(), noise(rng, 6)
    leaves = rng.random((1900, 2)) ** (1, 1.8) * SIZE
    for p, tone in zip(leaves, ramp(rng.random(1900), "c8446a f0788a f9a88f fbe0b0 7fc8b0")):
        if sample(clumps, p) > 0.5:
            path = p + np.linspace(-11, 11, 4)[:, None] * polar(rng.uniform(0, np.pi))
            brush(stick, rng, path, rng.uniform(6, 11), tone)
    rub(stick, 0.7)
    return sheet


PAINTERS = {
    f.__name__: f
    for f in (
        flow_night,
        sunset_impasto,
        stained_glass,
        woodcut,
        mosaic,
        ink_wash,
        pointillism,
        watercolour,
        cubism,
        neon_lines,
        scales_gold,
        chalk,
    )
}


def paint(name: str) -> np.ndarray:
    """The style ``name``, uint8 RGB."""
    picture = PAINTERS[name](np.random.default_rng(zlib.crc32(name.encode())))
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    return cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def save(path: str, picture: np.ndarray) -> None:
    """Write a JPEG of the best quality within `MAX_BYTES`."""
    for quality in range(95, 30, -2):
        data = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
        if len(data) <= MAX_BYTES:
            break
    data.tofile(path)


def main() -> None:
    """Paint the styles that the command line names."""
    parser = argparse.ArgumentParser(description="Paint the included styles.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of %s (default: all)" % ", ".join(PAINTERS))
    parser.add_argument("-o", "--output", metavar="DIR", default=SHIPPED)
    options = parser.parse_args()
    unknown = set(options.names) - set(PAINTERS)
    if unknown:
        parser.error("no such style: " + ", ".join(sorted(unknown)))
    os.makedirs(options.output, exist_ok=True)
    progress = tqdm(options.names or list(PAINTERS))
    for name in progress:
        progress.set_description(name)
        save(os.path.join(options.output, name + ".jpg"), paint(name))


if __name__ == "__main__":
    main()
