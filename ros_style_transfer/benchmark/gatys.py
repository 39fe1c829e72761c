"""Our render compared to the optimisation in Chollet's walkthrough of Gatys et al. 2015, on the same objective."""

import json
import time
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from tqdm import tqdm

from ..media import images
from ..render import optimizers
from ..render.objective import Objective, load_network
from ..render.options import PRESETS
from ..render.renderer import Renderer
from . import measure

SIDE = 512
ROUNDS, EVALUATIONS = 9, 20  # of the walkthrough, which restarts L-BFGS nine times
OURS = {"scales": 3, "iterations": 18}

Curve = List[Tuple[float, np.ndarray]]  # (seconds, picture) each


def gatys(
    content: np.ndarray,
    style: np.ndarray,
    weights_file: Optional[str] = None,
    json_file: Optional[str] = None,
    plot_file: Optional[str] = None,
) -> Dict[str, Any]:
    """Seconds until the final loss of the walkthrough's procedure, for that procedure and for ours.

    The walkthrough: VGG16, 512x512 pixels, starting from noise, L-BFGS with a short memory, restarted after
    every 20 evaluations, 180 in all.  Ours: the same network, weights and pictures, by `renderer.Renderer`.
    Both losses are the walkthrough's at 512x512 (`options.PRESETS`), of pictures as they are saved (8 bits).

    Args:
        content, style: uint8 RGB.
        weights_file: VGG16's, see `vgg_weights.load`.
        json_file, plot_file: where to write the figures and the chart; None: nowhere.
    """
    content, style = (images.resize(rgb, SIDE, SIDE) for rgb in (content, style))
    objective = Objective(load_network("vgg16", weights_file), PRESETS["seed"])
    objective.prepare(np.float32(content) / 255, [[(1.0, np.float32(style) / 255)]])
    loss_of = lambda x: objective(np.float32(np.uint8(np.clip(x, 0, 1) * 255 + 0.5)) / 255).value
    start = loss_of(np.float32(content) / 255)

    curves = {"walkthrough": _walkthrough(content, style, weights_file), "ours": _ours(content, style, weights_file)}
    losses = {
        name: [(seconds, loss_of(x)) for seconds, x in tqdm(curve, desc="evaluating " + name)]
        for name, curve in curves.items()
    }
    goal = losses["walkthrough"][-1][1]
    reached = {name: next((seconds for seconds, loss in curve if loss <= goal), None) for name, curve in losses.items()}
    result = {
        "loss": goal,
        "loss_of_the_content_alone": start,
        "seconds": reached,
        "speed_up": None if not reached["ours"] else reached["walkthrough"] / reached["ours"],
    }
    print("final loss of the walkthrough: %.4e (of the content itself: %.4e)" % (goal, start))
    for name in losses:
        print(
            "%-11s %s"
            % (
                name,
                "%.1f s" % reached[name] if reached[name] else "does not reach it, ends at %.4e" % losses[name][-1][1],
            )
        )
    if result["speed_up"]:
        print("%.1f times faster" % result["speed_up"])
    if json_file:
        with open(json_file, "w") as file:
            json.dump(dict(result, curves=losses), file, indent=1)
    if plot_file:
        _plot(losses, goal, plot_file)
    return result


def _walkthrough(content, style, weights_file) -> Curve:
    started = time.monotonic()
    objective = Objective(load_network("vgg16", weights_file), PRESETS["seed"])
    objective.prepare(np.float32(content) / 255, [[(1.0, np.float32(style) / 255)]])
    x, curve = np.random.default_rng(0).random(content.shape, np.float32), []
    with tqdm(desc="walkthrough", total=ROUNDS * EVALUATIONS, unit="evaluation") as bar:
        for _ in range(ROUNDS):
            evaluations = 0
            for iterate in optimizers.lbfgs(x, objective):
                bar.update(iterate.evaluations - evaluations)
                x, evaluations = iterate.x, iterate.evaluations
                if evaluations >= EVALUATIONS:
                    break
            curve.append((time.monotonic() - started, x))
    return curve


def _ours(content, style, weights_file) -> Curve:
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
