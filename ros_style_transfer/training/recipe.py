"""How each model is trained: the stages of its training with every hyperparameter and loss weight.

``python -m ros_style_transfer.training MODEL`` runs the recipe from scratch to the end.
"""

from typing import Mapping, NamedTuple

from ..models.shapes import LITE_BLOCKS, LITE_WIDTHS, LIVE_BLOCKS, LIVE_WIDTHS

# Any picture may be a style, but there are few paintings, so many crops get another picture's colors.
RECOLORED = 0.4  # fraction of the style crops
STYLE_SCALES = (0.4, 1.0)  # of the style pictures' size (longer side at most 640)
CONTENT_SCALES = (0.5, 1.0)  # of the photographs' size (longer side at most 512)
DENOISED = 0.5  # fraction of the contents that are denoised: a network must not rely on sensor grain
NOISE = 0.05  # maximum deviation of the noise in a content's shifted view, of 0..1
SHIFT = 8  # maximum shift of that view, pixels
RIDGE = 1e-3  # the whitening's ridge, a fraction of the mean eigenvalue
WARM_UP = 200  # steps
DECAY = 0.25  # last fraction of a stage's steps, in which the learning rate decreases to a hundredth
AVERAGING = 0.02  # fraction of a stage's steps that the exported running average covers
CLIP = 5.0  # maximum norm of the gradient


class Stage(NamedTuple):
    """One part of a training.

    Attributes:
        name: name of the stage.
        steps: number of steps.
        batch: contents per step.
        size: side of the crops, pixels.
        learning_rate: after the warm-up and before the decay.
        losses: ``{loss: weight}``.
    """

    name: str
    steps: int
    batch: int
    size: int
    learning_rate: float
    losses: Mapping[str, float]


STYLIZING = {  # loss weights of the live models, see `live.LiveTrainer` and `losses.LossNetwork.losses`
    "style": 2.5,
    "content": 0.8,
    "patch": 1.0,
    "coverage": 0.5,
    "structure": 0.6,
    "twin": 10.0,
    "same": 0.5,
    "color": 0.5,
    "range": 10.0,
    "grid": 2500.0,
}
IMITATING = {  # loss weights of the first stage of `lite`, which imitates the results of `live`
    "pixels": 20.0,
    "features": 1.0,
    "twin": 10.0,
    "same": 0.5,
    "color": 0.5,
    "range": 10.0,
    "grid": 2500.0,
}
DISTILLATION = {"distill1": 1.0, "distill2": 1.0, "distill3": 1.0, "distill4": 0.5, "distill5": 0.25}
# Loss weights of the cascade, see `cascade.CascadeTrainer`.  At relu5_1 a narrow network cannot both imitate the
# teacher and keep the picture, and later levels cannot restore what is lost there; the error at relu1_1 is soon
# invisible.
REBUILDING = {
    "distill1": 1.0,
    "distill2": 1.0,
    "distill3": 1.0,
    "distill4": 0.5,
    "distill5": 0.05,
    "features": 1.0,
    "image1": 0.5,
    "image2": 2.0,
    "image3": 3.0,
    "image4": 2.4,
    "image5": 4.2,
}
CASCADE_STYLIZING = {
    "style": 1.0,
    "content": 1.0,
    "patch": 1.0,
    "coverage": 0.3,
    "structure": 1.0,
    "range": 10.0,
    "grid": 400.0,
    "features": 0.06,
    "image1": 0.03,
    "image2": 0.11,
    "image3": 0.18,
    "image4": 0.14,
    "image5": 0.25,
}

RECIPES = {
    "cascade": (
        Stage("reconstruct", 4000, 4, 192, 2e-3, REBUILDING),
        Stage("stylize", 6000, 2, 256, 1e-3, CASCADE_STYLIZING),
    ),
    "compact": (Stage("distill", 4000, 4, 192, 1e-3, DISTILLATION),),
    "live": (Stage("stylize", 24000, 6, 160, 1e-3, STYLIZING), Stage("refine", 4000, 4, 256, 3e-4, STYLIZING)),
    "lite": (Stage("imitate", 5000, 6, 160, 1e-3, IMITATING), Stage("refine", 4000, 4, 192, 3e-4, STYLIZING)),
}
# Channels of each block; of the live models at a quarter, an eighth and a sixteenth of the sides.
WIDTHS = {
    "cascade": (16, 32, 64, 128, 128),
    "compact": (16, 32, 64, 128, 128),
    "live": LIVE_WIDTHS,
    "lite": LITE_WIDTHS,
}
BLOCKS = {"live": LIVE_BLOCKS, "lite": LITE_BLOCKS}  # residual blocks of the decoder
CONTENT_CROPS, STYLE_CROPS = 1500, 1600  # numbers of different crops at a time
RENEWED = 0.1  # new crops per step, as a fraction of the batch
CONTENTS_PER_STYLE = 2  # in a batch
