"""How the interfaces let users edit a control, whatever their toolkit; derived from the table of controls."""

from ..controls import Control, Range
from ..streaming.appearance import NO_MASK

SLIDER, DECIMAL, INTEGER, CHOICE, TEXT = "slider", "decimal", "integer", "choice", "text"  # kinds of editors

MAX_SLIDER = 10.0  # the widest range of a slider; wider ones get a box to type in
MODELS_OWN = "the model's own"

# What the node can change besides the controls, as rows for editors.
MASK = Control("mask", str, NO_MASK, (), "Style", "none, topic, or a picture of labels from a folder masks")
MAX_SIDE_FIELD = Control(
    "max_side", int, 0, Range(0, 16384), "Painting", "longer side of the painted frames in pixels, 32 or more"
)


def editor_kind(control: Control) -> str:
    """The kind of a control's editor."""
    if isinstance(control.allowed, Range):
        if control.type is int:
            return INTEGER
        return DECIMAL if control.allowed.high - control.allowed.low > MAX_SLIDER else SLIDER
    return CHOICE if control.allowed else TEXT


def label_for(name: str) -> str:
    """A control's name as a label: ``Style scale`` for ``style_scale``."""
    return name.replace("_", " ").capitalize()
