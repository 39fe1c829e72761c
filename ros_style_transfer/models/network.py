"""What a network must offer to be used by `transfer`: the interface that every model in `registry` fulfils.

Shapes: ``h`` and ``w`` are a picture's sides, multiples of 16 and at least 32; ``s`` is the stride of a level,
so its features are ``[h / s, w / s, c]``.  Features have the type of the network's convolutions, ``dtype``;
pictures, moments and statistics are float32.  One *round* encodes a picture, transforms the features and
decodes them; `transfer.pipeline` shows the data flow.
"""

from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Protocol, Sequence, Tuple, Union, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    Array = Union["np.ndarray", "tf.Tensor"]
    Moments = Tuple["tf.Tensor", "tf.Tensor"]


@runtime_checkable
class Network(Protocol):
    """A network that stylizes pictures by statistics of features.

    Attributes:
        dtype: what the convolutions compute in.
        levels: the levels whose features are transformed, in any order; `registry.ModelSpec.levels` has the
            order that users see.
        style_levels: the levels whose statistics describe a style.
        modulation_levels: the levels whose moments modulate the decoder, see `modulation`; may be empty.
        noise_levels: the levels of the decoder where noise is added; may be empty.
    """

    dtype: "tf.DType"
    levels: Sequence[int]
    style_levels: Sequence[int]
    modulation_levels: Sequence[int]
    noise_levels: Sequence[int]

    def rounds(self, levels: Sequence[int]) -> List[Tuple[int, ...]]:
        """The rounds of one pass over ``levels``: the levels that each round stylizes together."""

    def stride(self, level: int) -> int:
        """Pixels between neighbouring positions of the level's features."""

    def reach(self, levels: Sequence[int]) -> Tuple[int, int]:
        """Receptive radii in pixels for ``levels``: of a position in the encoder, of a pixel in the decoder."""

    def ground_share(self, strength: Any, number: int) -> Any:
        """Opacity of the canvas under the picture, 0..1, in round ``number`` of a pass; None: no canvas."""

    def encode(
        self, rgb: "Array", levels: Sequence[int], ground: Optional["Array"] = None
    ) -> Mapping[int, "tf.Tensor"]:
        """``{level: features}`` of ``rgb [h, w, 3]``, 0..1, on the canvas ``ground [h, w]``.

        The result has ``levels`` and every other level that the decoder needs.  None for ``ground`` is the
        network's default.
        """

    def laid(self, rgb: "Array", ground: Optional["Array"]) -> "Array":
        """The input of `features`: ``rgb [h, w, 3]`` combined with the canvas ``ground [h, w]``."""

    def features(self, laid: "Array", levels: Sequence[int]) -> Mapping[int, "tf.Tensor"]:
        """`encode` of an input that `laid` has prepared."""

    def taps(self, rgb: "Array") -> Mapping[int, "tf.Tensor"]:
        """``{level: features}`` of a style picture ``rgb [h, w, 3]`` at all levels of the encoder, without canvas."""

    def modulation(self, moments: Mapping[int, "Moments"]) -> Tuple[Sequence["tf.Tensor"], Sequence["tf.Tensor"]]:
        """The decoder's modulation: arguments for `decode_features` and for `decode_image`.

        Args:
            moments: ``{level: (mean [c], variance [c])}`` of the transformed features at all ``modulation_levels``.
        """

    def decode_features(
        self,
        features: Mapping[int, "tf.Tensor"],
        modulation: Sequence["tf.Tensor"],
        noise: Optional[Mapping[int, "Array"]] = None,
    ) -> Any:
        """The first half of the decoder: transformed features to what `decode_image` takes.

        Args:
            noise: ``{level: [h / s, w / s, 1]}`` at the ``noise_levels``; None: no noise, as for a style picture.

        A network with `shapes.DECODER_LEVEL` among its ``levels`` returns the features of that level, which are
        transformed as well; any other returns ``features`` unchanged.
        """

    def decode_image(
        self, features: Any, modulation: Sequence["tf.Tensor"], noise: Mapping[int, "Array"]
    ) -> "tf.Tensor":
        """The second half of the decoder: the image, float32, about 0..1, not clipped, as `unfold` takes it.

        A network with `shapes.IMAGE_LEVEL` among its ``style_levels`` has the image's colors transformed last.
        """

    def unfold(self, image: "tf.Tensor") -> "tf.Tensor":
        """What `decode_image` returned, its colors transformed, to RGB ``[h, w, 3]``."""
