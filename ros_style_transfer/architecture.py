"""The shapes of our networks, in one place for the runtime (TensorFlow) and the training (Keras).

An encoder is a VGG network (Simonyan & Zisserman 2014) of chosen widths, cut after relu5_1.  The
decoder mirrors it in five blocks: block ``l`` turns relu``l``\\_1 features into relu``l-1``\\_1
features, block 1 into the image, so that decoding from level ``l`` is running the blocks l..1.
"""
LEVELS = (5, 4, 3, 2, 1)  # coarse to fine, the order of Li et al. 2017

# The number of convolutions in each block of the encoder; the fifth block ends at conv5_1.
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 1), "vgg19": (2, 2, 4, 4, 1)}
VGG_WIDTHS = (64, 128, 256, 512, 512)

# ImageNet's mean colour, RGB in 0..1: what every encoder here subtracts from its input.
MEAN_RGB = (123.68 / 255.0, 116.779 / 255.0, 103.939 / 255.0)


def encoder_layers(backbone="vgg16", widths=VGG_WIDTHS):
    """The encoder's convolutions in order: ``[(name, channels in, channels out), ...]``.

    Names are Keras' own (``block4_conv1``).  A 2x2 max pool stands before each ``blockN_conv1``
    but the first; the tap of level ``l`` is the ReLU of ``block{l}_conv1``.
    """
    layers, channels = [], 3
    for block, (count, width) in enumerate(zip(CONVOLUTIONS[backbone], widths), 1):
        for conv in range(1, count + 1):
            layers.append(("block%d_conv%d" % (block, conv), channels, width))
            channels = width
    return layers


def decoder_layers(level, backbone="vgg16", widths=VGG_WIDTHS):
    """The convolutions of decoder block ``level`` in order, as `encoder_layers` gives them.

    From level 2 on, the picture is upsampled twofold (nearest) after the block's first
    convolution: the mirror of the pooling.  All but block 1 end in a ReLU.
    """
    if level == 1:
        return [("block1_conv1", widths[0], 3)]
    channels, width = widths[level - 1], widths[level - 2]
    layers = []
    for conv in range(1, CONVOLUTIONS[backbone][level - 2] + 1):
        layers.append(("block%d_conv%d" % (level, conv), channels, width))
        channels = width
    return layers


def tap(level):
    """The name of the convolution whose ReLU is the features of ``level``."""
    return "block%d_conv1" % level
