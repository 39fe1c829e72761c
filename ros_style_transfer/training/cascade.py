"""The cascade's training: five encoders and decoders together, first to see and rebuild, then to paint.

Stage ``reconstruct``: each level's encoder imitates the teacher's features at its relu1_1..relu5_1
through a linear head (distillation), while the decoder's blocks turn them into the encoder's own of
the levels before and into the picture.  Stage ``stylize`` adds the thing itself: content crops go through the
five-level cascade with random paintings as styles, and the result is held to the paintings' Gram
matrices (relu1_1..relu5_1 of the teacher) and to the content's normalised relu4_1.  They stand on
the canvas, as at run time.
"""
import keras
import numpy as np
from keras import ops

from ..models.canvas import CANVAS_DEPTH, canvas
from ..models.shapes import LEVELS, encoder_layers
from .canvas import crops_of_canvas, evenness
from .data import inner, pairs, random_crops
from .flaws import halo, hatching, weave
from .networks import Decoder, Encoder
from .statistics import roots, statistics
from .teacher import Teacher, mean_square, trackers

# Weights of the losses; see the model card for what each is.
WEIGHTS = {
    "distill": 1.0,
    "features": 1.0,
    "image": 12.0,
    "style": 17.0,
    "content": 26.0,
    "range": 20.0,
    "grid": 1500.0,
    "hatching": 3.0,
    "halo": 100.0,
}
# At relu5_1 a narrow network cannot both follow the teacher and remember the picture; what is
# forgotten there no later level brings back.
DISTILL = {1: 1.0, 2: 1.0, 3: 1.0, 4: 0.5, 5: 0.05}
# Shares of the rebuilt pictures' errors: relu1_1's is soon too small to be seen.
IMAGES = {1: 0.04, 2: 0.16, 3: 0.25, 4: 0.2, 5: 0.35}


def up_to(level, arrays, backbone):
    """The part of an encoder's arrays that the encoder of ``level`` has."""
    return {name + part: arrays[name + part] for name, _, _ in encoder_layers(backbone, last=level)
            for part in ("_kernel", "_bias")}


def whiten_colour(features, style_mean, style_covariance, ridge):
    """WCT of a batch; the runtime's `wct`, for training."""
    b, h, w, c = ops.shape(features)
    mean, covariance = statistics(features)
    transform = ops.matmul(roots(covariance, ridge)[1], roots(style_covariance, 1e-4)[0])
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32") - mean
    return ops.cast(ops.reshape(ops.matmul(flat, transform) + style_mean, (b, h, w, c)), features.dtype)


class CascadeTrainer(keras.Model):
    """Encoder, decoder and heads with the frozen teacher; ``call`` gives a dict of losses.

    Args:
        teacher: `Encoder`, frozen, in any dtype.
        teacher_rms: {level: root mean square of the teacher's features}.
        encoder: arrays that the encoder of each level starts from, as far as it reaches.
        decoder: arrays to start from.
        heads: {level: (kernel [c, C], bias [C])}.
        ridge: the whitening's ridge, a share of the mean eigenvalue.
    """

    def __init__(self, teacher, teacher_rms, encoder, decoder, heads, backbone, ridge, dtype="float32"):
        super().__init__()
        self.teacher, self.ridge = Teacher(teacher, teacher_rms), ridge
        self.encoders = {level: Encoder(up_to(level, encoder, backbone), backbone, dtype=dtype) for level in LEVELS}
        self.decoder = Decoder(decoder, backbone, dtype=dtype)
        self.heads = {}
        for level, (kernel, bias) in sorted(heads.items()):
            for part, value in (("kernel", kernel), ("bias", bias)):
                self.heads["%s%d" % (part, level)] = self.add_weight(
                    shape=value.shape, name="head%d_%s" % (level, part),
                    initializer=keras.initializers.Constant(0.0))
                self.heads["%s%d" % (part, level)].assign(value)
        self.stylizing = False
        self.trackers = trackers(["loss", "style", "content", "grid", "hatching", "halo"]
                                 + ["%s%d" % (name, level) for name in ("distill", "psnr") for level in LEVELS])
        self.built = True

    @property
    def metrics(self):
        return list(self.trackers.values())

    def begin(self, stage, args, photos, paintings):
        """Make ready for ``stage``; returns what draws a batch (`data.Batches`)."""
        self.stylizing = stage.name == "stylize"
        if not self.stylizing:
            return lambda rng: {"content": random_crops(rng, photos, paintings, stage.batch, stage.size)}
        draw_pairs = pairs(self.teacher, stage, args, photos, paintings)
        return lambda rng: dict(draw_pairs(rng), canvas=crops_of_canvas(rng, stage.batch, stage.size))

    def encode(self, rgb, level):
        """The taps of the encoder of ``level``, up to there."""
        return self.encoders[level](rgb, last=level)

    def sheet(self, content, style):
        """The columns to look at: content, rebuilt from relu1_1..relu5_1, style, painted."""
        rebuilt = [self.decoder.decode(self.encode(content, level)[level], level) for level in sorted(LEVELS)]
        columns = [content] + rebuilt
        side = content.shape[1]
        return columns + [style, self.stylize(content, style, canvas()[None, :side, :side, None])]

    def distillation(self, taps, target):
        losses = {}
        for level in LEVELS:
            kernel, bias = self.heads["kernel%d" % level], self.heads["bias%d" % level]
            guess = ops.matmul(ops.cast(taps[level][level], "float32"), kernel) + bias
            # The teacher pads with zeros: what it sees at the border is no example.
            edge = {1: 8, 2: 6, 3: 4, 4: 2, 5: 1}[level]
            difference = (guess - ops.cast(target[level], "float32"))[:, edge:-edge, edge:-edge]
            losses[level] = ops.mean(ops.square(difference))
        return losses

    def reconstruction(self, content, taps):
        """How far every level's decoder misses its encoder's features on its way, and the picture."""
        features, errors = 0.0, {}
        for level in LEVELS:
            *steps, picture = self.decoder.steps(taps[level][level], level)
            for n, step in enumerate(steps):
                error = mean_square(step - ops.stop_gradient(taps[level][level - 1 - n]))
                features = features + (1.0 if n == 0 else 0.3) * error
            errors[level] = mean_square(ops.cast(picture, "float32") - content)
        return features, errors

    def stylize(self, content, style, grain):
        """The cascade, strength 1, on the canvas ``grain [b,h,w,1]``: ``[b,h,w,3]``, unclipped."""
        image = content + CANVAS_DEPTH * grain * evenness(content)
        for level in LEVELS:
            target = statistics(self.encode(style, level)[level])
            features = whiten_colour(self.encode(image, level)[level], *target, ridge=self.ridge)
            image = ops.cast(self.decoder.decode(features, level), "float32")
        return image

    def call(self, inputs):
        content = inner(inputs["content"]) if self.stylizing else inputs["content"]
        taps = {level: self.encode(content, level) for level in LEVELS}
        features, errors = self.reconstruction(content, taps)
        # Deep levels cannot be exact; with the logarithm (decibels) the shallow ones, whose errors are small,
        # go on improving.
        losses = {"features": features, "image": sum(IMAGES[l] * ops.log(error + 1e-5) for l, error in errors.items())}
        for level in LEVELS:
            self.trackers["psnr%d" % level].update_state(-10 * ops.log(errors[level]) / np.log(10.0))
        if self.stylizing:
            painted = self.stylize(content, inputs["style"], inputs["canvas"])
            shown = ops.clip(painted, 0.0, 1.0)
            style, structure = self.teacher.losses(shown, inputs)
            losses["style"], losses["content"] = sum(style.values()) / len(style), structure
            losses["range"] = mean_square(painted - shown)
            losses["grid"] = mean_square(weave(painted))
            losses["hatching"] = hatching(painted, content, inputs["style"])
            losses["halo"] = halo(painted, content)
            for key in ("style", "content", "grid", "hatching", "halo"):
                self.trackers[key].update_state(losses[key])
        else:
            target = {l: ops.stop_gradient(f) for l, f in self.teacher.features(content).items()}
            distill = self.distillation(taps, target)
            losses["distill"] = sum(DISTILL[l] * v for l, v in distill.items())
            for level in LEVELS:
                self.trackers["distill%d" % level].update_state(distill[level])
        return losses

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = sum(WEIGHTS[key] * value for key, value in y_pred.items())
        self.trackers["loss"].update_state(loss)
        return loss

    def arrays(self):
        """What is exported: the encoders' and the decoders' arrays under their final names."""
        arrays = {"decoder_" + key: value for key, value in self.decoder.numpy().items()}
        for level, encoder in self.encoders.items():
            arrays.update({"encoder_level%d_%s" % (level, key): value for key, value in encoder.numpy().items()})
        return arrays

    def training_arrays(self):
        """The heads' arrays, which only training needs."""
        return {"head_" + key: ops.convert_to_numpy(value).astype(np.float32) for key, value in self.heads.items()}

    def assign(self, arrays):
        """Go on from `arrays` and, where they are there, `training_arrays`."""
        named = {"encoder_level%d_" % level: encoder for level, encoder in self.encoders.items()}
        for prefix, network in {**named, "decoder_": self.decoder}.items():
            network.assign({key[len(prefix):]: value for key, value in arrays.items() if key.startswith(prefix)})
        for key, variable in self.heads.items():
            if "head_" + key in arrays:
                variable.assign(arrays["head_" + key])
