"""The node's parameters as ROS gives them: what is taken, what is refused and how that is said."""

import os
import re
import xml.etree.ElementTree

import pytest
from conftest import REPOSITORY

from ros_style_transfer.controls import ALIASES, CONTROLS, SETTINGS, Controls, controls_from
from ros_style_transfer.errors import OptionError
from ros_style_transfer.models.registry import MODELS
from ros_style_transfer.ros_common import params
from ros_style_transfer.ros_common.params import DEFAULTS, Parameters

yaml = pytest.importorskip("yaml", reason="ROS parameters are YAML, and PyYAML is not installed")
LEVELS = ",".join(map(str, MODELS["live"].levels))


def read(*warnings, **given):
    """What the node makes of parameters that are given as text on its command line."""
    values = {"~" + name: yaml.safe_load(text) for name, text in given.items()}
    return params.read(lambda name, default: values.get(name, default), *warnings)


@pytest.mark.parametrize(
    "text, value",
    [("'0.5,5'", (0.5, 5.0)), ("[500, 4000]", (500.0, 4000.0)), ("''", None), ("'-20,40'", (-20.0, 40.0))],
)
def test_a_depth_range_is_two_numbers_or_none(text, value):
    assert read(depth_range=text).depth_range == value


def test_the_launch_file_offers_every_parameter():
    root = xml.etree.ElementTree.parse(os.path.join(REPOSITORY, "launch", "stylize.launch")).getroot()
    wanted = {*Parameters._fields, *CONTROLS} - {"controls"}
    assert {param.get("name") for param in root.find("node[@type='style_transfer_node']").iter("param")} - {
        *ALIASES
    } == wanted
    arguments = {arg.get("name"): arg for arg in root.iter("arg")}
    for name, control in {**CONTROLS, **SETTINGS}.items():
        assert arguments[name].get("doc") == control.help
    defaults = {name: arguments[name].get("default") for name in CONTROLS}
    assert controls_from(defaults) == Controls()
    for name, setting in SETTINGS.items():
        assert setting.type(arguments[name].get("default")) == setting.default


def test_the_pages_name_every_parameter_with_its_default():
    told = {}
    for page in ("node.md", "controls.md"):
        with open(os.path.join(REPOSITORY, "doc", page)) as file:
            told.update(re.findall(r"^\| `~(\w+)` \| (?:`(.*?)`|[^|]*) \|", file.read(), re.M))
    defaults = dict(DEFAULTS._asdict(), style=",".join(DEFAULTS.style))
    defaults.update(defaults.pop("controls")._asdict())
    for name, value in defaults.items():
        assert told[name] == (str(value).lower() if value or value == 0 else ""), name


@pytest.mark.parametrize(
    "given, said",
    [
        ({"model": "picasso"}, "~model: model must be one of live, lite, cascade, not 'picasso'"),
        ({"max_side": "7"}, "~max_side: must be 0"),
        ({"precision": "int4"}, "~precision: precision must be one of"),
        ({"style": "nope"}, "~style: unknown style 'nope'; known: chalk, "),
        ({"style": "/etc/passwd"}, "outside"),
        ({"style_dirs": "/no/such/folder"}, "/no/such/folder"),
        ({"mask": "nowhere"}, "~mask: unknown mask 'nowhere'"),
        ({"weights_dir": "/no/such"}, "~weights_dir: cannot read /no/such/manifest.json"),
        ({"style_weights": "1,2,3"}, "~style_weights: 3 weights for 1 styles; give one each"),
        ({"strength": "2"}, "~strength: strength must be a number from 0 to 1, not 2"),
        (
            {"levels": "5,9"},
            "~levels: levels must be some of %s (model live), each once, not (5, 9)" % LEVELS,
        ),
        ({"level_strength": "9:1"}, "~level_strength: level_strength names level 9; model live has %s" % LEVELS),
        ({"passes": "2.5"}, "~passes: passes must be a whole number from 1 to 16, not 2.5"),
        ({"method": "foo"}, "~method: method must be one of wct, ot, adain, whiten, not 'foo'"),
        ({"swap": "-1"}, "~swap: swap must be a number from 0 to 1, not -1"),
        ({"swap_level": "3"}, "~swap_level: swap_level must be one of "),
        ({"swap_patch": "2"}, "~swap_patch: swap_patch must be odd"),
        ({"depth_range": "5"}, "~depth_range: must be two rising numbers joined by a comma, such as 0.5,5, or empty"),
        ({"depth_range": "5,1"}, "~depth_range: must be two rising numbers"),
        ({"depth_range": "0,.inf"}, "~depth_range: must be"),
        (
            {"max_frame_megapixels": "0"},
            "max_frame_megapixels must be a number from 0.1 to 1000",
        ),
        ({"skip_still": "1.5"}, "~skip_still: skip_still must be a number from 0 to 1, not 1.5"),
        ({"style": ",".join(33 * ["mosaic"])}, "33 styles"),
        ({"swap_stride": "0"}, "~swap_stride: swap_stride must be a whole number from 1 to 64, not 0"),
        (
            {"keep_colours": "maybe"},
            "~keep_colours: keep_colours must be one of no, luminance, coral, not 'maybe'",
        ),
        ({"style_scale": "9"}, "~style_scale: style_scale must be a number from 0.05 to 4, not 9"),
        ({"style_crop": "0"}, "~style_crop: style_crop must be a number from 0.05 to 1, not 0"),
        ({"feather": "wide"}, "~feather: feather must be a number, not 'wide'"),
        ({"smoothing": "true"}, "~smoothing: smoothing must be a number from 0 to 1, not True"),
        ({"max_side": ".inf"}, "~max_side: must be 0"),
        ({"max_side": ".nan"}, "~max_side: must be 0"),
        ({"strength": ".inf"}, "~strength: strength must be a number"),
        ({"strength": ".nan"}, "~strength: strength must be a number"),
        ({"style_weights": ".inf"}, "~style_weights: weights must not be negative"),
        ({"style_weights": ".nan"}, "~style_weights: weights must not be negative"),
        (
            {"swap": "0.5", "method": "adain"},
            "swap compares whitened patches, so it needs the method wct, not adain",
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named_once_with_what_is_allowed(given, said):
    with pytest.raises(OptionError) as error:
        read(**given)
    assert str(error.value).count(said) == 1 and "\n" not in str(error.value)


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(OptionError) as error:
        read(levels="5,9", passes="2.5", method="foo", feather="wide", style="nope")
    for name in ("levels", "passes", "method", "feather", "style"):
        assert str(error.value).count("~%s: " % name) == 1
    assert "\n" not in str(error.value)


def test_what_yaml_reads_otherwise_is_taken_as_it_was_meant():
    assert yaml.safe_load("5:20") == 320 and yaml.safe_load("no") is False
    controls = read(model="cascade", level_strength="5:0.2", keep_colours="no", levels="5,4").controls
    assert controls == Controls(level_strength={5: 0.2}, keep_colours="no", levels=(5, 4))


def test_old_names_are_taken_with_a_warning():
    said = []
    found = read(said.append, dtype="float16", precision="auto", keep_colors="coral")
    assert (found.precision, found.dtype) == ("float16", "float16")
    assert found.controls == Controls(keep_colours="coral")
    assert said == ["~dtype is deprecated; use ~precision"]
