"""The interface between a model's network and `transfer`.

Shapes: ``h`` and ``w`` are a picture's sides, multiples of 16 and at least 32; ``s`` is the stride of a level,
so its features are ``[h / s, w / s, c]``.  Features have the type of the network's convolutions, ``dtype``;
pictures, moments and statistics are float32.  One *round* encodes a picture, transforms the features and
decodes them; `transfer.pipeline` shows the data flow.
"""

import abc
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Protocol, Sequence, Tuple, runtime_checkable

if TYPE_CHECKING:
    import tensorflow as tf

Moments = Tuple[Any, Any]  # mean and variance of features, ``[c]`` each
Modulation = Sequence[Any]  # tensors that modulate one half of a decoder


@runtime_checkable
class Network(Protocol):
    """A network that stylizes pictures by statistics of features.

    The members without a default are required.  The defaults are those of a network whose decoder depends on
    nothing but the transformed features.

    Attributes:
        dtype: precision of the convolutions.
        levels: the levels whose features are transformed, in any order; `registry.ModelSpec.levels` has the
            order that users see.
        style_levels: the levels whose statistics describe a style.
        modulation_levels: the levels whose moments modulate the decoder, see `modulation`.
        noise_levels: the levels of the decoder where noise is added.
        canvas_amplitude: how much of the `canvas` is added to the picture before the first round; 0: no canvas.
    """

    dtype: "tf.DType"
    levels: Sequence[int]
    style_levels: Sequence[int]
    modulation_levels: Sequence[int] = ()
    noise_levels: Sequence[int] = ()
    canvas_amplitude: float = 0.0

    @abc.abstractmethod
    def rounds(self, levels: Sequence[int]) -> List[Tuple[int, ...]]:
        """The rounds of one pass over ``levels``: the levels that each round stylizes together."""

    @abc.abstractmethod
    def stride(self, level: int) -> int:
        """Pixels between neighbouring positions of the level's features."""

    @abc.abstractmethod
    def receptive_radii(self, levels: Sequence[int]) -> Tuple[int, int]:
        """Receptive radii in pixels for ``levels``: of a position in the encoder, of a pixel in the decoder."""

    @abc.abstractmethod
    def encode(self, rgb: Any, levels: Sequence[int]) -> Mapping[int, "tf.Tensor"]:
        """``{level: features}`` of ``rgb [h, w, 3]``, float32, 0..1.

        The result has ``levels``, as far as the encoder has them, and every other level that the decoder needs.
        """

    def modulation(self, moments: Mapping[int, Moments]) -> Tuple[Modulation, Modulation]:
        """The decoder's modulation: arguments for `decode_features` and for `decode_image`.

        Args:
            moments: ``{level: (mean [c], variance [c])}`` of the transformed features at all ``modulation_levels``.
        """
        return (), ()

    def decode_features(
        self,
        features: Mapping[int, "tf.Tensor"],
        modulation: Modulation = (),
        noise: Optional[Mapping[int, Any]] = None,
    ) -> Any:
        """The first half of the decoder: transformed features to the input of `decode_image`.

        A network with `shapes.DECODER_LEVEL` among its ``levels`` returns the features of that level, which are
        transformed as well; any other returns ``features`` unchanged.

        Args:
            noise: ``{level: [h / s, w / s, 1]}`` at the ``noise_levels``; None: no noise, as for a style picture.
        """
        return features

    @abc.abstractmethod
    def decode_image(
        self, features: Any, modulation: Modulation = (), noise: Optional[Mapping[int, Any]] = None
    ) -> "tf.Tensor":
        """The second half of the decoder: the image, float32, about 0..1, not clipped, in the layout of `unfold`.

        A network with `shapes.IMAGE_LEVEL` among its ``style_levels`` has the image's colors transformed last.
        """

    def unfold(self, image: "tf.Tensor") -> "tf.Tensor":
        """The result of `decode_image`, after the transform of its colors, as RGB ``[h, w, 3]``."""
        return image
