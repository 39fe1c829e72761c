"""How frames are painted, and how a request changes it: styles, weights, mask, controls, size."""

from typing import Any, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from ..controls import Controls, check, check_range, check_styles, check_weights, describe
from ..errors import ImageError, OptionError
from ..media.style_library import StyleLibrary
from ..transfer import masks

CAMERA = "camera"  # the style that is the next frame itself
TOPIC = "topic"  # the style, or the mask, that the middleware delivers
RANDOM = "random"  # any style of the library
RESERVED_STYLES = (RANDOM, CAMERA, TOPIC)  # style names that are not pictures
NO_MASK = "none"  # the mask of a request that removes the one in force

MAX_FADE = 3600.0  # seconds
MAX_STYLES = 32  # in a mixture, or in the regions of a mask

# The picture of a style, or the source (`CAMERA`, `TOPIC`) that will deliver it.
StylePicture = Union[np.ndarray, str]


class Appearance(NamedTuple):
    """How frames are painted.

    Attributes:
        styles: names of the styles.
        weights: of the styles in a mixture; empty: equal.
        mask: name of the mask, `TOPIC`, or empty: none.
        labels: of a mask from the library, as `images.read_mask` returns them; None otherwise.
        max_side: frames are scaled down to this longer side; 0 keeps their size.
        controls: `controls.Controls`.
    """

    styles: Tuple[str, ...]
    weights: Tuple[float, ...]
    mask: str
    labels: Optional[np.ndarray]
    max_side: int
    controls: Controls

    def __str__(self) -> str:
        parts = ["style " + self.style_text, "strength %g" % self.controls.strength]
        others = describe(self.controls._replace(strength=1.0))
        return ", ".join(parts + ([others] if others else []) + (["masked"] if self.mask else []))

    @property
    def style_text(self) -> str:
        """The styles with their weights, for people."""
        if not self.weights:
            return ", ".join(self.styles)
        return ", ".join("%s %g" % pair for pair in zip(self.styles, self.weights))


class AppearanceChange(NamedTuple):
    """What a request changes; a field that is left at its default keeps what is in force.

    Attributes:
        styles: names of styles, see `RESERVED_STYLES`.
        weights: of ``styles`` in a mixture; empty: equal.
        fade: seconds over which the old styles become the new ones.
        mask: name of a mask, `TOPIC`, or `NO_MASK`.
        controls: all controls.
        max_side: frames are scaled down to this longer side; 0 keeps their size.
    """

    styles: Sequence[str] = ()
    weights: Sequence[float] = ()
    fade: float = 0.0
    mask: str = ""
    controls: Optional[Controls] = None
    max_side: Optional[int] = None


class KnownFrame(NamedTuple):
    """The newest frame of a stream: its topic and its ``(height, width)``."""

    topic: str
    shape: Tuple[int, int]


class AppearanceBuilder:
    """Reads and checks everything that an `Appearance` needs.

    Args:
        library: where styles and masks are found.
        model: one of `controls.MODELS`.
    """

    def __init__(self, library: StyleLibrary, model: str) -> None:
        self._library = library
        self._model = model
        self._random = np.random.default_rng()

    def resolve(self, names: Iterable[str]) -> Tuple[str, ...]:
        """``names`` with each `RANDOM` replaced by the name of a style."""
        return tuple(self._library.random(self._random) if name == RANDOM else name for name in names)

    def first(
        self, styles: Sequence[str], weights: Sequence[float], mask: str, max_side: int, controls: Controls
    ) -> Tuple[Appearance, List[StylePicture]]:
        """The appearance that a session starts with, and the pictures of its styles.

        Raises:
            StyleTransferError: a name, a picture or a value is wrong.
        """
        nothing = Appearance((), (), "", None, max_side, controls)
        appearance, pictures = self.apply(nothing, AppearanceChange(styles, weights, mask=mask))
        return appearance, pictures or []

    def apply(
        self, current: Appearance, change: AppearanceChange, frames: Iterable[KnownFrame] = ()
    ) -> Tuple[Appearance, Optional[List[StylePicture]]]:
        """``current`` with ``change`` applied, and the pictures of the styles; None if the styles stay.

        Args:
            frames: those that a mask must fit, if any are known.

        Raises:
            StyleTransferError: a name, a picture or a value is wrong.
        """
        check_style_count(change.styles)
        styles = self.resolve(change.styles)
        check_weights(change.weights, len(styles))
        check_range("fade", change.fade, 0.0, MAX_FADE)
        appearance, pictures = current, None
        if change.controls is not None:
            appearance = appearance._replace(controls=change.controls)
        if change.max_side is not None:
            appearance = appearance._replace(max_side=change.max_side)
        if styles:
            pictures = [name if name in (CAMERA, TOPIC) else self._library.read(name) for name in styles]
            appearance = appearance._replace(styles=styles, weights=tuple(change.weights))
        if change.mask:
            mask = "" if change.mask == NO_MASK else change.mask
            labels = self._library.read_mask(mask) if mask not in ("", TOPIC) else None
            appearance = appearance._replace(mask=mask, labels=labels)
        self._check(appearance)
        if change.mask and appearance.labels is not None:
            check_fit(appearance.labels, list(frames), len(appearance.styles))
        return appearance, pictures

    def _check(self, appearance: Appearance) -> None:
        check(appearance.controls, self._model)
        if appearance.labels is not None:
            height, width = appearance.labels.shape
            masks.check(appearance.labels, height, width, len(appearance.styles))
        check_styles(len(appearance.styles), masked=bool(appearance.mask), method=appearance.controls.method)


def check_style_count(styles: Sequence[str]) -> None:
    """Raise `OptionError` if there are more ``styles`` than `MAX_STYLES`."""
    if len(styles) > MAX_STYLES:
        raise OptionError("%d styles are too many; give at most %d" % (len(styles), MAX_STYLES))


def check_fit(labels: np.ndarray, frames: Sequence[KnownFrame], styles: int) -> None:
    """Raise `ImageError` if ``frames`` are known and the mask ``labels`` fits none of them."""
    problems = []
    for frame in frames:
        try:
            masks.check(labels, *frame.shape, styles)
            return
        except ImageError as error:
            problems.append("the mask does not fit the frames of %s: %s" % (frame.topic, error))
    if problems:
        raise ImageError("; ".join(problems))


def is_complete(pictures: Sequence[StylePicture]) -> bool:
    """Whether no picture is still to come."""
    return not any(isinstance(picture, str) for picture in pictures)


def arrived(pictures: Sequence[StylePicture]) -> List[np.ndarray]:
    """The pictures that are not still to come."""
    return [picture for picture in pictures if not isinstance(picture, str)]


def awaits(pictures: Sequence[StylePicture], source: str) -> bool:
    """Whether a picture of ``source`` is still to come."""
    return any(isinstance(picture, str) and picture == source for picture in pictures)


def fill(pictures: Sequence[StylePicture], source: str, rgb: np.ndarray) -> List[Any]:
    """``pictures`` with ``rgb`` in place of those that ``source`` was to deliver."""
    return [rgb if isinstance(picture, str) and picture == source else picture for picture in pictures]
