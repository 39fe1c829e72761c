"""The layers of the networks, for the runtime (TensorFlow) and the training (Keras).

The cascade: each level has its own encoder, a VGG network (Simonyan & Zisserman 2014) with narrower layers
that ends at the level's ReLU (Li et al. 2017 share one encoder), and a decoder that mirrors it in blocks:
block 3 turns relu3_1 features into relu2_1 features, block 1 turns relu1_1 features into the image.
"""

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

VggLayer = Tuple[str, int, int]  # name, channels in, channels out; all kernels are 3x3

LEVELS = (5, 4, 3, 2, 1)  # coarse to fine, the order of Li et al. 2017

# The number of convolutions in each block of the encoder; the fifth block ends at conv5_1.
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 1), "vgg19": (2, 2, 4, 4, 1)}
# The same for the complete official networks.
ALL_CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
VGG_WIDTHS = (64, 128, 256, 512, 512)

# ImageNet's mean color, RGB in 0..1, which every encoder subtracts from its input.
MEAN_RGB = (123.68 / 255.0, 116.779 / 255.0, 103.939 / 255.0)


def encoder_layers(
    backbone: str = "vgg16",
    widths: Sequence[int] = VGG_WIDTHS,
    convolutions: Mapping[str, Sequence[int]] = CONVOLUTIONS,
    last: Optional[int] = None,
) -> List[VggLayer]:
    """The convolutions of an encoder in order, up to the features of the level ``last``.

    The names are those of Keras (``block4_conv1``).  A 2x2 max pooling precedes every ``blockN_conv1``
    except the first; the features of a level are the ReLU of its `feature_layer`.
    """
    layers: List[VggLayer] = []
    channels = 3
    for block, (count, width) in enumerate(zip(convolutions[backbone], widths), 1):
        for conv in range(1, count + 1):
            layers.append(("block%d_conv%d" % (block, conv), channels, width))
            channels = width
            if block == last:
                return layers
    return layers


def decoder_layers(level: int, backbone: str = "vgg16", widths: Sequence[int] = VGG_WIDTHS) -> List[VggLayer]:
    """The convolutions of the decoder of ``level`` in order.

    The names are ``level5_block4_conv1`` and so on.  In every block except the last, nearest upsampling
    follows the first convolution, as a mirror of the pooling (`is_upsampled`).  A ReLU follows every
    convolution except the last, which returns the image.
    """
    layers: List[VggLayer] = []
    for block in range(level, 1, -1):
        channels, width = widths[block - 1], widths[block - 2]
        for conv in range(1, CONVOLUTIONS[backbone][block - 2] + 1):
            layers.append(("level%d_block%d_conv%d" % (level, block, conv), channels, width))
            channels = width
    return layers + [("level%d_block1_conv1" % level, widths[0], 3)]


def is_upsampled(name: str) -> bool:
    """Whether upsampling follows the decoder's convolution ``name``."""
    return name.endswith("conv1") and not is_image_layer(name)


def is_image_layer(name: str) -> bool:
    """Whether the decoder's convolution ``name`` is its last, which returns the image."""
    return name.endswith("block1_conv1")


def feature_layer(level: int) -> str:
    """The name of the convolution whose ReLU is the features of ``level``."""
    return "block%d_conv1" % level


def cascade_receptive_radii(level: int, backbone: str = "vgg16") -> Tuple[int, int]:
    """Receptive radii in pixels: of a position in the encoder of ``level``, of a pixel in its decoder."""
    encoder, decoder, scale = 0, 0, 1
    for name, _, _ in encoder_layers(backbone, last=level):
        if name == feature_layer(int(name[5])) and int(name[5]) > 1:
            encoder, scale = encoder + scale, 2 * scale  # the pooling
        encoder += scale
    for name, _, _ in decoder_layers(level, backbone):
        decoder += scale
        if is_upsampled(name):
            scale //= 2
            decoder += scale
    return encoder, decoder


# The live models fold the picture to a quarter of its sides, with 48 channels.
FOLD = 4
ENCODER_LEVELS = (1, 2)  # features of the encoder, at an eighth and a sixteenth of the picture's sides
DECODER_LEVEL = 0  # features of the decoder, at a quarter
DECODER_LEVELS = (2, 1, 0)  # of the decoder's residual blocks, in order
IMAGE_LEVEL = -1  # the colors of the decoded image; controlled together with the decoder's level
COLOR_FLOOR = 3e-4  # variance added to the image's colors before they are transformed
# Channels and residual blocks at a quarter, an eighth and a sixteenth.
LIVE_WIDTHS, LIVE_BLOCKS = (64, 128, 128), (1, 2, 2)
LITE_WIDTHS, LITE_BLOCKS = (32, 64, 96), (1, 2, 1)
STYLE_CODE_WIDTH = 128  # hidden units between the style's statistics and the modulation
# Layers with reflection padding; the others pad with zeros.
REFLECTED = ("stem", "decoder0_0a", "decoder0_0b", "image")


def live_layers(
    widths: Sequence[int] = LIVE_WIDTHS, blocks: Sequence[int] = LIVE_BLOCKS
) -> Dict[str, Tuple[int, int, int, int]]:
    """The convolutions of a live model: ``{name: (side of the kernel, stride, channels in, channels out)}``.

    Encoder: ``stem`` at a quarter of the sides, then ``encoder1a/b`` and ``encoder2a/b``, each of which
    halves the sides; a level's features are taken before the ReLU.  Decoder, from level 2 to level 0:
    residual blocks ``decoder{level}_{n}a/b``, then ``up{level}`` and nearest upsampling; the encoder's
    features of level 1 are added.  ``image`` returns 48 channels, which unfold to the picture.
    ``style_code`` and ``modulation`` turn the means and deviations of the encoder's features, after the
    transform, into a gain and a shift for each channel of the layers in `live_modulated` (FiLM, Perez et
    al. 2018), and into gains of the noise that is added before the blocks of each level: in smooth regions
    strokes need something to follow (noise injection, Karras et al. 2019).

    Args:
        widths: channels at a quarter, an eighth and a sixteenth of the sides.
        blocks: residual blocks of the decoder at the same scales.
    """
    quarter, eighth, sixteenth = widths
    layers = {
        "stem": (3, 1, 3 * FOLD**2, quarter),
        "encoder1a": (3, 2, quarter, eighth),
        "encoder1b": (3, 1, eighth, eighth),
        "encoder2a": (3, 2, eighth, sixteenth),
        "encoder2b": (3, 1, sixteenth, sixteenth),
    }
    for level in (2, 1, 0):
        for names in live_blocks(blocks, level):
            layers.update((name, (3, 1, widths[level], widths[level])) for name in names)
        if level:
            layers["up%d" % level] = (1, 1, widths[level], widths[level - 1])
    layers["image"] = (3, 1, quarter, 3 * FOLD**2)
    layers["style_code"] = (1, 1, 2 * (eighth + sixteenth), STYLE_CODE_WIDTH)
    layers["modulation"] = (
        1,
        1,
        STYLE_CODE_WIDTH,
        2 * sum(layers[name][3] for name in live_modulated(blocks)) + sum(widths),
    )
    return layers


def live_blocks(blocks: Sequence[int], level: int) -> List[Tuple[str, str]]:
    """The names of the two layers of each residual block at ``level``, in order."""
    return [("decoder%d_%da" % (level, n), "decoder%d_%db" % (level, n)) for n in range(blocks[level])]


def live_modulated(blocks: Sequence[int] = LIVE_BLOCKS, levels: Sequence[int] = (2, 1, 0)) -> List[str]:
    """The decoder's layers at ``levels`` that the style modulates, in order."""
    names: List[str] = []
    for level in levels:
        names += [name for pair in live_blocks(blocks, level) for name in pair]
        if level:
            names.append("up%d" % level)
    return names


def live_stride(level: int) -> int:
    """Pixels between neighbouring positions of the level's features."""
    return FOLD if level in (DECODER_LEVEL, IMAGE_LEVEL) else int(2 ** (level + 2))


def live_receptive_radii(blocks: Sequence[int] = LIVE_BLOCKS) -> Tuple[int, int]:
    """Receptive radii in pixels: of a position in the encoder, of a pixel in the decoder."""
    # Each level has one convolution at its own stride and one at the stride before.
    encoder = FOLD + sum(live_stride(level) * 3 // 2 for level in ENCODER_LEVELS)
    decoder = FOLD  # the image's convolution
    for level in (0, 1, 2):
        stride = live_stride(level)
        decoder = -(-decoder // stride) * stride + 2 * blocks[level] * stride  # upsampling reads whole positions
    return encoder, decoder


def live_multiply_adds(widths: Sequence[int], blocks: Sequence[int], width: int, height: int) -> Dict[str, float]:
    """``{layer: multiply-adds}`` for a picture of ``width`` x ``height`` pixels, without the negligible modulation."""
    counts: Dict[str, float] = {}
    for name, (side, _, channels, out) in live_layers(widths, blocks).items():
        if name in ("style_code", "modulation"):
            continue
        stride = FOLD if name in REFLECTED else live_stride(int(name.rstrip("ab").split("_")[0][-1]))
        counts[name] = side * side * channels * out * width * height / stride**2
    return counts


def cascade_multiply_adds(backbone: str, widths: Sequence[int], width: int, height: int) -> Dict[str, float]:
    """``{layer: multiply-adds}`` for a picture of ``width`` x ``height`` pixels, all five levels."""
    counts: Dict[str, float] = {}
    for level in LEVELS:
        scale = 1
        for name, channels, out in encoder_layers(backbone, widths, last=level):
            scale = 2 ** (int(name[5]) - 1)
            counts["level%d_encoder_%s" % (level, name)] = 9 * channels * out * width * height / scale**2
        for name, channels, out in decoder_layers(level, backbone, widths):
            counts["%s_decoder" % name] = 9 * channels * out * width * height / scale**2
            scale = scale // 2 if is_upsampled(name) else scale
    return counts
