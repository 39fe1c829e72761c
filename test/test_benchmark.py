"""The benchmark commands: what they print and write is what they say it is."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from ros_style_transfer.benchmark import measure
from ros_style_transfer.cli import main as cli
from ros_style_transfer.errors import OptionError
from ros_style_transfer.models import device, weights
from ros_style_transfer.models.shapes import VGG_WIDTHS, cascade_multiply_adds

pytestmark = pytest.mark.measured
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def test_multiply_adds_are_counted_as_by_hand():
    quarter, eighth, sixteenth, pixels = 160 * 120, 80 * 60, 40 * 30, 640 * 480
    lite = measure.multiply_adds("lite", weights.load("lite")[1], 640, 480)
    assert sum(lite.values()) == (
        quarter * 9 * (48 * 32 + 2 * 32 * 32 + 32 * 48)  # stem, a residual block, image
        + eighth * 9 * (32 * 64 + 64 * 64 + 4 * 64 * 64)
        + eighth * 64 * 32  # encoder1, two residual blocks, up1
        + sixteenth * 9 * (64 * 96 + 96 * 96 + 2 * 96 * 96)
        + sixteenth * 96 * 64
    )  # encoder2, a residual block, up2
    # VGG16 up to conv5_1: 3x3 convolutions of 64, 64, 128, ... channels at 1, 1/4, 1/16, ... of the pixels.
    vgg = (
        pixels
        * 9
        * (
            3 * 64
            + 64 * 64
            + (64 * 128 + 128 * 128) / 4
            + (128 * 256 + 2 * 256 * 256) / 16
            + (256 * 512 + 2 * 512 * 512) / 64
            + 512 * 512 / 256
        )
    )
    cascade = cascade_multiply_adds("vgg16", VGG_WIDTHS, 640, 480)
    assert sum(count for name, count in cascade.items() if name.startswith("level5_encoder")) == vgg
    # The way back reads as many channels as the way there gives; only the resolutions differ a little.
    decoder = sum(count for name, count in cascade.items() if name.startswith("level5") and "encoder_" not in name)
    assert 0.8 * vgg < decoder < 1.2 * vgg


def test_peak_is_the_rate_of_the_fastest_convolution(monkeypatch):
    seconds = {(128, 64): 0.5, (64, 128): 0.25, (64, 256): 2.0}
    monkeypatch.setattr(device, "convolution_time", lambda precision, side, channels, clock: seconds[side, channels])
    assert measure.peak("float32") == 64 * 64 * 9 * 128 * 128 / 0.25


def test_peak_is_far_above_a_convolution_that_only_moves_memory():
    clock = lambda action: measure.times(action, seconds=0.3).low
    narrow = 256 * 256 * 9 * 2 * 2 / device.convolution_time("float32", 256, 2, clock)
    assert measure.peak("float32") > 3 * narrow


def test_peak_memory_sees_what_is_allocated_and_given_back():
    before = measure.peak_memory(lambda: None)
    if before is None:
        pytest.skip("this system does not tell a process' peak memory")
    assert measure.peak_memory(lambda: np.ones(40_000_000).sum()) > before + 300e6
    assert measure.peak_memory(lambda: None) < before + 100e6


def test_frames_are_timed_beside_the_peak_and_drawn(tmp_path, capsys):
    figures = tmp_path / "frames.json"
    cli.main(
        [
            "benchmark",
            "live",
            "--model",
            "lite",
            "cascade",
            "--precision",
            "float32",
            "--size",
            "64x48",
            "96x64",
            "--no-reference",
            "--json",
            str(figures),
            "--plot",
            str(tmp_path / "plots"),
        ]
    )
    said, found = capsys.readouterr().out, json.loads(figures.read_text())
    peak = found["peak_multiply_adds"]["float32"]
    assert [(row["model"], row["width"], row["height"]) for row in found["frames"]] == [
        (model, *size) for model in ("lite", "cascade") for size in ((64, 48), (96, 64))
    ]
    for row in found["frames"]:
        seconds = row["seconds"]
        assert seconds["low"] <= seconds["median"] <= seconds["high"]
        assert "%dx%d" % (row["width"], row["height"]) in said
        assert row["fraction_of_peak"] == pytest.approx(row["multiply_adds"] / peak / seconds["median"])
    assert os.listdir(tmp_path / "plots") == ["frames.png"]


def test_layers_are_timed_one_by_one(tmp_path):
    figures = tmp_path / "frames.json"
    cli.main(
        [
            "benchmark",
            "live",
            "--model",
            "lite",
            "--precision",
            "float32",
            "--size",
            "64x48",
            "--no-reference",
            "--layers",
            "--json",
            str(figures),
        ]
    )
    (row,) = json.loads(figures.read_text())["frames"]
    assert sum(layer["multiply_adds"] for layer in row["layers"].values()) == row["multiply_adds"]
    assert all(layer["seconds"] > 0 for layer in row["layers"].values())


def test_pictures_of_growing_size_tell_time_and_memory(tmp_path):
    figures = tmp_path / "pictures.json"
    cli.main(
        [
            "benchmark",
            "image",
            "--model",
            "lite",
            "--precision",
            "float32",
            "--side",
            "64",
            "1024",
            "--json",
            str(figures),
            "--plot",
            str(tmp_path),
        ]
    )
    small, large = json.loads(figures.read_text())["pictures"]
    assert large["seconds"]["median"] > small["seconds"]["median"]
    assert small["memory"] is None or large["memory"] > small["memory"]
    assert (tmp_path / "pictures.png").stat().st_size > 5000


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["live", "--model", "gatys"], "model must be one of"),
        (["live", "--precision", "auto"], "benchmark needs explicit precisions"),
        (["live", "--size", "640"], "--size must be WIDTHxHEIGHT"),
        (["image", "--side", "8"], "side must be"),
        (
            ["live", "--model", "cascade", "--size", "64x64", "--precision", "float32", "--layers", "--no-reference"],
            "--layers",
        ),
        (["ros", "--rate", "0"], "--rate must be"),
        (["ros", "--seconds", "0"], "--seconds must be"),
        (["live", "--json", "/"], "cannot write /: it is a folder"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments, said):
    with pytest.raises(OptionError, match=said):
        cli.run(cli.parser().parse_args(["benchmark", *arguments]))


@pytest.mark.skipif(
    shutil.which("roscore") is None or "ROS_PACKAGE_PATH" not in os.environ,
    reason="needs ROS and a built workspace, as ./bootstrap.sh test has",
)
def test_the_node_is_measured_from_stamp_to_arrival(tmp_path):
    figures = tmp_path / "ros.json"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ros_style_transfer",
            "benchmark",
            "ros",
            "--model",
            "lite",
            "--size",
            "96x64",
            "--rate",
            "10",
            "--seconds",
            "3",
            "--json",
            str(figures),
        ],
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    (stream,) = json.loads(figures.read_text())["streams"]
    assert 25 <= stream["sent"] <= 31 and stream["sent_rate"] == pytest.approx(10, rel=0.1)
    assert stream["painted_rate"] > 5 and stream["dropped"] < 15
    assert 0 < stream["p50"] <= stream["p95"] <= stream["p99"] < 5000
    assert 0 < stream["network"] < stream["p99"] and stream["rest"] > 0 and stream["cpu"] > 0
    assert stream["message"].startswith("lite loaded in ") and "computes in " in stream["message"]
