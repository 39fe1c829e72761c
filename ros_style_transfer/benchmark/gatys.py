"""Our render against the procedure of the study that this package grew from."""
import json
import time

import numpy as np
from tqdm import tqdm

from ..media import images
from ..render import optimizers
from ..render.objective import Objective, load_network
from ..render.options import PRESETS
from ..render.renderer import Renderer
from . import measure

SIDE = 512
ROUNDS, EVALUATIONS = 9, 20  # the ancestor's: L-BFGS begun anew nine times
OURS = {"scales": 3, "iterations": 18}


def gatys(content, style, weights_file=None, json_file=None, plot_file=None):
    """Seconds until the loss that the ancestor's procedure ends with, its own and ours.

    The ancestor: VGG16, 512x512 pixels, from noise, L-BFGS of a short memory, begun anew after every 20
    evaluations, 180 in all.  Ours: the same network, weights and pictures, by `renderer.Renderer`.
    Both losses are the ancestor's at 512x512 (`options.PRESETS`), of pictures as they are saved (8 bits).

    Args:
        content, style: uint8 RGB.
        weights_file: VGG16's, see `vgg_weights.load`.
    """
    content, style = (images.resize(rgb, SIDE, SIDE) for rgb in (content, style))
    measured = Objective(load_network("vgg16", weights_file), PRESETS["seed"])
    measured.prepare(np.float32(content) / 255, [[(1.0, np.float32(style) / 255)]])
    judged = lambda x: measured(np.float32(np.uint8(np.clip(x, 0, 1) * 255 + 0.5)) / 255).value
    start = judged(np.float32(content) / 255)

    curves = {"ancestor": _ancestor(content, style, weights_file), "ours": _ours(content, style, weights_file)}
    losses = {name: [(seconds, judged(x)) for seconds, x in tqdm(curve, desc="judging " + name)]
              for name, curve in curves.items()}
    goal = losses["ancestor"][-1][1]
    reached = {name: next((seconds for seconds, loss in curve if loss <= goal), None)
               for name, curve in losses.items()}
    result = {"loss": goal, "loss_of_the_content_alone": start, "seconds": reached,
              "speed_up": None if not reached["ours"] else reached["ancestor"] / reached["ours"]}
    print("the ancestor's final loss: %.4e (the content alone: %.4e)" % (goal, start))
    for name in losses:
        print("%-9s %s" % (name, "%.1f s" % reached[name] if reached[name] else "not reached, ends at %.4e"
                           % losses[name][-1][1]))
    if result["speed_up"]:
        print("%.1f times sooner" % result["speed_up"])
    if json_file:
        with open(json_file, "w") as file:
            json.dump(dict(result, curves=losses), file, indent=1)
    if plot_file:
        _plot(losses, goal, plot_file)
    return result


def _ancestor(content, style, weights_file):
    started = time.monotonic()
    objective = Objective(load_network("vgg16", weights_file), PRESETS["seed"])
    objective.prepare(np.float32(content) / 255, [[(1.0, np.float32(style) / 255)]])
    x, curve = np.random.default_rng(0).random(content.shape, np.float32), []
    with tqdm(desc="ancestor", total=ROUNDS * EVALUATIONS, unit="evaluation") as bar:
        for _ in range(ROUNDS):
            done = 0
            for iterate in optimizers.lbfgs(x, objective):
                bar.update(iterate.evaluations - done)
                x, done = iterate.x, iterate.evaluations
                if done >= EVALUATIONS:
                    break
            curve.append((time.monotonic() - started, x))
    return curve


def _ours(content, style, weights_file):
    started = time.monotonic()
    renderer = Renderer(PRESETS["seed"]._replace(**OURS), weights_file)
    curve = []
    for progress in tqdm(renderer.render(content, [style]), desc="ours", unit="iteration"):
        if progress.scale == progress.scales - 1:
            curve.append((time.monotonic() - started, progress.x))
    return curve


def _plot(losses, goal, path):
    pyplot = measure.pyplot()
    figure, axes = pyplot.subplots(figsize=(6, 3.5))
    for name, curve in losses.items():
        axes.loglog(*zip(*curve), marker=".", label=name)
    axes.axhline(goal, color="grey", linewidth=0.8)
    axes.set(xlabel="seconds", ylabel="loss")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
