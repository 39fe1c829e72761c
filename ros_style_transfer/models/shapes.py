"""The shapes of our networks, in one place for the runtime (TensorFlow) and the training (Keras).

The cascade: each level has an encoder of its own, a VGG network (Simonyan & Zisserman 2014) of chosen
widths, cut after the level's ReLU (Li et al. 2017 share one), and a decoder that mirrors it in blocks:
block 3 turns relu3_1 features into relu2_1 features, block 1 turns relu1_1's into the image.
"""
LEVELS = (5, 4, 3, 2, 1)  # coarse to fine, the order of Li et al. 2017

# The number of convolutions in each block of the encoder; the fifth block ends at conv5_1.
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 1), "vgg19": (2, 2, 4, 4, 1)}
# The same of the official networks, whole.
ALL_CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
VGG_WIDTHS = (64, 128, 256, 512, 512)

# ImageNet's mean colour, RGB in 0..1: what every encoder here subtracts from its input.
MEAN_RGB = (123.68 / 255.0, 116.779 / 255.0, 103.939 / 255.0)


def encoder_layers(backbone="vgg16", widths=VGG_WIDTHS, convolutions=CONVOLUTIONS, last=None):
    """An encoder's convolutions in order: ``[(name, channels in, channels out), ...]``, up to the tap of ``last``.

    Names are Keras' own (``block4_conv1``).  A 2x2 max pool stands before each ``blockN_conv1``
    but the first; the tap of level ``l`` is the ReLU of ``block{l}_conv1``.
    """
    layers, channels = [], 3
    for block, (count, width) in enumerate(zip(convolutions[backbone], widths), 1):
        for conv in range(1, count + 1):
            layers.append(("block%d_conv%d" % (block, conv), channels, width))
            channels = width
            if block == last:
                return layers
    return layers


def decoder_layers(level, backbone="vgg16", widths=VGG_WIDTHS):
    """The convolutions of the decoder of ``level`` in order, as `encoder_layers` gives them.

    Names are ``level5_block4_conv1`` and so on.  In all blocks but the last the picture is upsampled
    twofold (nearest) after the first convolution, the mirror of the pooling (`upsampled`); all but
    the last convolution, the image's, end in a ReLU.
    """
    layers = []
    for block in range(level, 1, -1):
        channels, width = widths[block - 1], widths[block - 2]
        for conv in range(1, CONVOLUTIONS[backbone][block - 2] + 1):
            layers.append(("level%d_block%d_conv%d" % (level, block, conv), channels, width))
            channels = width
    return layers + [("level%d_block1_conv1" % level, widths[0], 3)]


def upsampled(name):
    """Whether the picture is upsampled after the decoder's convolution ``name``."""
    return name.endswith("conv1") and not is_image(name)


def is_image(name):
    """Whether the decoder's convolution ``name`` is its last, which gives the image."""
    return name.endswith("block1_conv1")


def tap(level):
    """The name of the convolution whose ReLU is the features of ``level``."""
    return "block%d_conv1" % level


def cascade_reach(level, backbone="vgg16"):
    """Pixels that the encoder up to ``level`` sees around a position, and its decoder around a pixel."""
    encoder, decoder, scale = 0, 0, 1
    for name, _, _ in encoder_layers(backbone, last=level):
        if name == tap(int(name[5])) and int(name[5]) > 1:
            encoder, scale = encoder + scale, 2 * scale  # the pooling
        encoder += scale
    for name, _, _ in decoder_layers(level, backbone):
        decoder += scale
        if upsampled(name):
            scale //= 2
            decoder += scale
    return encoder, decoder


# The live model: taps at a quarter, an eighth and a sixteenth of the picture's sides.
LIVE_TAPS = (1, 2, 3)
LIVE_WIDTHS = (16, 64, 96, 128)  # at a half, where there is no tap, and at the taps
LIVE_PAIRS = (2, 2, 1)  # residual pairs of the decoder at each tap
LITE_PAIRS = (1, 0, 0)  # the same of `lite`, whose decoder begins at a quarter
DRAWN = 0  # what the decoder has drawn at a quarter, a level as the taps are: it is given the style's statistics, too
CODE_WIDTH = 64  # the style code's hidden layer


def live_levels(pairs=LIVE_PAIRS):
    """The taps whose features the decoder takes, finest first: those down to the last with residual pairs."""
    return tuple(tap for tap in LIVE_TAPS if any(pairs[tap - 1 :]))


def live_pairs(pairs=LIVE_PAIRS):
    """The decoder's residual pairs in order: ``[(tap, first layer's name, second layer's name), ...]``."""
    return [(tap, "decoder%d%s" % (tap, "ac"[n]), "decoder%d%s" % (tap, "bd"[n]))
            for tap in live_levels(pairs)[::-1] for n in range(pairs[tap - 1])]


def live_reach(levels, pairs=LIVE_PAIRS):
    """Pixels that the encoder down to the last of ``levels`` sees around a position, and the decoder around a pixel."""
    deepest = max(levels)
    # Two layers at each tap, one before and after a halving, and the halvings themselves.
    encoder = 4 + sum(2 * 2 ** (tap + 1) for tap in LIVE_TAPS if tap <= deepest)
    decoder = 4 + sum((2 * pairs[tap - 1] + 1) * 2 ** (tap + 1) for tap in live_levels(pairs))
    return encoder, decoder


def live_layers(widths=LIVE_WIDTHS, pairs=LIVE_PAIRS):
    """The live model's convolutions: ``{name: (side of the kernel, stride, channels in, channels out)}``.

    The encoder takes the picture and the `canvas` folded into half its sides (space to depth, 12
    and 4 channels) through ``encoder0`` to the taps: ``encoder1``, and ``encoder{n}a/b`` for the
    others; a tap's features are taken before the ReLU.  There is no tap at a half: fine detail is
    for the decoder to paint.  The decoder starts with the deepest tap that has any ``pairs`` (`live_levels`):
    at each tap residual pairs (`live_pairs`), then ``up{n}`` narrows them for the tap above, where they are
    upsampled (nearest) and its own features added.  ``up1`` unfolds to a half of the sides;
    ``decoder0`` and ``image`` end it, and 12 channels unfold to the picture.  ``code0`` and
    ``code`` turn the means and deviations of all taps' features, which after the transform are the
    style's, into a gain and a bias of each channel of the layers that `live_modulated` names
    (Dumoulin et al. 2017; Perez et al. 2018).
    """
    half, taps = widths[0], widths[1:]
    layers = {"encoder0": (3, 1, 16, half), "encoder1": (3, 2, half, taps[0])}
    for n in LIVE_TAPS[1:]:
        layers["encoder%da" % n] = (3, 2, taps[n - 2], taps[n - 1])
        layers["encoder%db" % n] = (3, 1, taps[n - 1], taps[n - 1])
    for n, first, second in live_pairs(pairs):
        layers[first] = layers[second] = (3, 1, taps[n - 1], taps[n - 1])
    for n in live_levels(pairs)[::-1]:
        layers["up%d" % n] = (1, 1, taps[n - 1], taps[n - 2] if n > 1 else 4 * half)
    layers["decoder0"] = (3, 1, half, half)
    layers["image"] = (3, 1, half, 12)
    layers["code0"] = (1, 1, 2 * sum(taps), CODE_WIDTH)
    layers["code"] = (1, 1, CODE_WIDTH, 2 * sum(layers[name][3] for name in live_modulated(pairs)))
    return layers


def live_multiply_adds(widths, pairs, width, height):
    """``{layer: multiply-adds}`` of a picture of ``width`` x ``height`` pixels, painted at full strength.

    ``code`` and the layers of the encoder that only a style goes through are none of a picture's.
    """
    last, counts = live_levels(pairs)[-1], {}
    for name, (side, _, channels, out) in live_layers(widths, pairs).items():
        tap = int(name.rstrip("abcd")[-1]) if name[-1] != "e" else 0
        if name.startswith("code") or (name.startswith("encoder") and tap > last):
            continue
        stride = 2 ** (tap + 1)
        counts[name] = side * side * channels * out * width * height / stride**2
    return counts


def cascade_multiply_adds(backbone, widths, width, height):
    """``{layer: multiply-adds}`` of a picture of ``width`` x ``height`` pixels, all five levels."""
    counts = {}
    for level in LEVELS:
        scale = 1
        for name, channels, out in encoder_layers(backbone, widths, last=level):
            scale = 2 ** (int(name[5]) - 1)
            counts["level%d_encoder_%s" % (level, name)] = 9 * channels * out * width * height / scale**2
        for name, channels, out in decoder_layers(level, backbone, widths):
            counts["%s_decoder" % name] = 9 * channels * out * width * height / scale**2
            scale = scale // 2 if upsampled(name) else scale
    return counts


def live_modulated(pairs=LIVE_PAIRS):
    """The decoder's layers whose channels the style's code drives, in the code's order."""
    return [first for _, first, _ in live_pairs(pairs)] + ["decoder0"]
