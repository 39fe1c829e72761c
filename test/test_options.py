"""What controls may be: everything else is refused in one sentence that names the value and what is allowed."""

import glob
import os

import numpy as np
import pytest

from ros_style_transfer.controls import (
    ALIASES,
    CONTROLS,
    SETTINGS,
    Controls,
    Range,
    check,
    check_model,
    check_styles,
    check_weights,
    controls_from,
    current_name,
    describe,
    markdown_table,
    parse_level_strength,
    parse_levels,
)
from ros_style_transfer.errors import OptionError
from ros_style_transfer.models.registry import ALL_LEVELS, DEFAULT_MODEL, FLOATS, MODELS

NAN, INFINITE = float("nan"), float("inf")
NO_NUMBERS = [NAN, INFINITE, -INFINITE, True, False, None, "1", "much", "", (1,), [0.5], {}, 1j, np.array([0.5, 0.5])]
RANGES = {
    "strength": (0, 1),
    "swap": (0, 1),
    "smoothing": (0, 1),
    "skip_still": (0, 1),
    "style_scale": (0.05, 4),
    "style_crop": (0.05, 1),
    "feather": (0, 1000),
    "saturation": (0, 2),
}
WHOLE = {"passes": (1, 16), "swap_patch": (1, 15), "swap_stride": (1, 64)}


def refusal(controls, model="cascade"):
    """What `controls.check` says against ``controls``: one sentence."""
    with pytest.raises(OptionError) as error:
        check(controls, model)
    assert "\n" not in str(error.value)
    with pytest.raises(OptionError):
        controls.resolved(model)
    return str(error.value)


@pytest.mark.parametrize("model", MODELS)
def test_what_stands_by_default_is_allowed(model):
    check(Controls(), model)


@pytest.mark.parametrize("name", RANGES)
def test_both_ends_of_a_range_belong_to_it(name):
    for value in RANGES[name]:
        check(Controls(**{name: value}), "cascade")


@pytest.mark.parametrize("name", RANGES)
def test_what_lies_outside_of_a_range_is_refused(name):
    low, high = RANGES[name]
    for value in (low - 0.01, np.nextafter(high, 9e9), -1e300, 10**400):
        said = refusal(Controls(**{name: value}))
        assert said == "%s must be a number from %g to %g, not %r" % (name, low, high, value)


@pytest.mark.parametrize("name", RANGES)
def test_what_is_no_number_is_refused(name):
    for value in NO_NUMBERS:
        assert refusal(Controls(**{name: value})).endswith("not %r" % (value,))


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_within_their_range_are_allowed(name):
    for value in (*WHOLE[name], np.int64(3)):
        check(Controls(**{name: value}), "cascade")


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_are_refused_where_they_are_none_or_out_of_range(name):
    low, high = WHOLE[name]
    for value in (*NO_NUMBERS, low - 1, high + 2, -1, 2.5, 2.0, 10**400):
        said = refusal(Controls(**{name: value}))
        assert said == "%s must be a whole number from %d to %d, not %r" % (name, low, high, value)


@pytest.mark.parametrize("patch", [2, 4, 14])
def test_even_patches_are_refused(patch):
    assert refusal(Controls(swap_patch=patch)) == "swap_patch must be odd, so that a patch has a middle, not %d" % patch


@pytest.mark.parametrize(
    "name, allowed", [("method", "wct, ot, adain, whiten"), ("keep_colours", "no, luminance, coral")]
)
def test_words_that_are_not_on_the_list_are_refused(name, allowed):
    for value in ("", "WCT", "colour", 1, True, ("wct",), ["no"], NAN, np.array(["wct", "no"]), np.array(["wct"])):
        assert refusal(Controls(**{name: value})) == "%s must be one of %s, not %r" % (name, allowed, value)
    for value in allowed.split(", "):
        check(Controls(**{name: value}), "cascade")


@pytest.mark.parametrize("model, named", [("cascade", "5,4,3,2,1"), ("live", "2,1,0"), ("lite", "2,1,0")])
@pytest.mark.parametrize(
    "levels",
    [
        (),
        [],
        (9,),
        (-1,),
        (3, 6),
        (3, 3),
        (3, 2, 1, 3),
        "3",
        "3,2",
        3,
        3.0,
        (3.0,),
        (True,),
        ("3",),
        (None,),
        (NAN,),
        ([3],),
        {3, 2},
        range(3, 1, -1),
        np.array([3, 2]),
        True,
        {3: 1},
    ],
)
def test_levels_that_the_model_cannot_paint_are_refused(model, named, levels):
    said = refusal(Controls(levels=levels), model)
    assert said == "levels must be some of %s (model %s), each once, not %r" % (named, model, levels)


def test_levels_of_another_model_are_refused():
    check(Controls(levels=(5,)), "cascade")
    check(Controls(levels=(0,)), "live")
    assert "some of 2,1,0 (model live)" in refusal(Controls(levels=(3,)), "live")
    assert "some of 2,1,0 (model lite)" in refusal(Controls(levels=(3,)), "lite")
    assert "some of 5,4,3,2,1 (model cascade)" in refusal(Controls(levels=(0,)), "cascade")


@pytest.mark.parametrize("levels", [(1, 2), [1, 2]])
def test_levels_in_another_order_are_for_a_model_that_paints_them_in_turn(levels):
    check(Controls(levels=levels), "cascade")
    said = refusal(Controls(levels=levels), "live")
    assert ",".join(map(str, levels)) in said and "descending order" in said


@pytest.mark.parametrize(
    "factors, named",
    [
        ({9: 0.5}, "9"),
        ({"5": 0.5}, "'5'"),
        ({True: 0.5}, "True"),
        ({1.0: 0.5}, "1.0"),
        ({None: 1}, "None"),
        ({(5, 4): 1}, "(5, 4)"),
        ("5:0.5", "'5:0.5'"),
        (0.5, "0.5"),
        ([(5, 1)], "[(5, 1)]"),
        (None, "None"),
        ({5: 1.01}, "1.01"),
        ({4: -0.1}, "-0.1"),
        ({3: NAN}, "nan"),
        ({2: "1"}, "'1'"),
        ({1: True}, "True"),
        ({5: None}, "None"),
    ],
)
def test_factors_of_levels_that_make_no_sense_are_refused(factors, named):
    said = refusal(Controls(level_strength=factors))
    assert said.startswith("level_strength") and named in said


def test_factors_name_the_levels_of_the_model():
    check(Controls(level_strength={5: 0, 1: 1}), "cascade")
    assert "level 5; model live has 2,1,0" in refusal(Controls(level_strength={5: 0}), "live")


@pytest.mark.parametrize(
    "model, allowed, others", [("cascade", (5, 4), (3, 2, 1)), ("live", (2, 1), (5, 4, 3)), ("lite", (2, 1), (5, 4, 3))]
)
@pytest.mark.parametrize("swap", [0.0, 0.5])
def test_patches_are_swapped_at_deep_levels_alone(model, allowed, others, swap):
    for level in allowed:
        check(Controls(swap=swap, swap_level=level), model)
    nonsense = (0, -1, 9, True, False, float(allowed[0]), str(allowed[0]), "", NAN, (), allowed, np.array([5, 4]))
    for level in others + nonsense:
        said = refusal(Controls(swap=swap, swap_level=level), model)
        assert said == "swap_level must be one of %d,%d (model %s), not %r" % (*allowed, model, level)


def test_patches_are_swapped_only_at_a_level_that_paints():
    check(Controls(swap=1, swap_level=4, levels=(4, 2)), "cascade")
    check(Controls(swap=0, swap_level=4, levels=(5,)), "cascade")
    assert refusal(Controls(swap=1, swap_level=4, levels=(5, 3))) == (
        "swap works at level 4, which is not among the levels 5,3"
    )
    assert "at level 5" in refusal(Controls(swap=1, levels=(4, 3)))  # the model's own swap level


@pytest.mark.parametrize("method", ["ot", "adain", "whiten"])
@pytest.mark.parametrize("model", MODELS)
def test_patches_are_swapped_among_whitened_features_only(model, method):
    assert refusal(Controls(swap=0.1, method=method), model).endswith("it needs the method wct, not %s" % method)
    check(Controls(swap=0, method=method), model)
    check(Controls(swap=0.1, method="wct"), model)
    check(Controls(swap=0.1), model)


@pytest.mark.parametrize(
    "model, levels, method, swap_level",
    [("cascade", (5, 4, 3, 2, 1), "wct", 5), ("live", (2, 1, 0), "ot", 2), ("lite", (2, 1, 0), "ot", 2)],
)
def test_what_is_left_open_is_the_models_own(model, levels, method, swap_level):
    resolved = Controls(strength=0.3).resolved(model)
    assert (resolved.levels, resolved.method, resolved.swap_level) == (levels, method, swap_level)
    assert resolved.strength == 0.3


def test_what_is_said_stays():
    said = Controls(levels=[2, 4], method="adain", swap_level=4)
    assert said.resolved("cascade") == said._replace(levels=(2, 4))


@pytest.mark.parametrize(
    "given, allowed",
    [
        ({"model": "gatys"}, "model must be one of live, lite, cascade, not 'gatys'"),
        ({"model": None}, "not None"),
        ({"model": ["cascade"]}, "not ['cascade']"),
        ({"model": ""}, "not ''"),
        ({"model": np.array(["cascade", "live"])}, "model must be one of live, lite, cascade"),
        ({"precision": "float64"}, "precision must be one of float32, bfloat16, float16, int8, auto, not 'float64'"),
        ({"precision": "int8"}, "int8 is available for live and lite only; model cascade computes in float32"),
        ({"precision": float}, "not <class 'float'>"),
        ({"precision": 16}, "not 16"),
    ],
)
def test_unknown_models_and_precisions_are_named(given, allowed):
    with pytest.raises(OptionError) as error:
        check_model(**dict({"model": "cascade"}, **given))
    assert allowed in str(error.value) and "\n" not in str(error.value)


def test_weights_are_one_for_each_style_or_none():
    for given in ([], (), [1, 0], (0.5, 3)):
        check_weights(given, 2)
    for given, named in (
        ([1], "1 weights for 2 styles"),
        ([1, 2, 3], "3 weights for 2 styles"),
        ([0, 0], "0, 0"),
        ([-1, 2], "-1, 2"),
        ([NAN, 1], "nan, 1"),
        ([INFINITE, 1], "inf, 1"),
    ):
        with pytest.raises(OptionError) as error:
            check_weights(given, 2)
        assert named in str(error.value) and "\n" not in str(error.value)


def test_levels_are_parsed_from_text():
    assert parse_levels("5, 4,1") == (5, 4, 1)
    assert parse_levels(3) == (3,)


@pytest.mark.parametrize("text", ["", ",", "5,", "5;4", "a", "5.0", None, "5-3"])
def test_text_that_holds_no_levels_is_named(text):
    with pytest.raises(OptionError, match="levels must be numbers joined by commas") as error:
        parse_levels(text)
    assert repr(text) in str(error.value) and "\n" not in str(error.value)


def test_factors_of_levels_are_parsed_from_text():
    assert parse_level_strength("5:0.3, 4 : 1") == {5: 0.3, 4: 1.0}
    assert parse_level_strength("") == {}


@pytest.mark.parametrize("text", ["5", "5:", ":1", "5:0.3,5:0.4", "5:0.3:4", "a:1", "5:b", "5:0,4", None])
def test_text_that_holds_no_factors_is_named(text):
    with pytest.raises(OptionError, match="level_strength must be LEVEL:STRENGTH joined by commas") as error:
        parse_level_strength(text)
    assert repr(text) in str(error.value) and "\n" not in str(error.value)


# The table


def test_ranges_that_the_tests_know_are_the_tables():
    ranges = {name: tuple(control.allowed) for name, control in CONTROLS.items() if isinstance(control.allowed, Range)}
    assert ranges == {**RANGES, **WHOLE}


def test_every_row_of_the_table_is_complete():
    for name, control in {**CONTROLS, **SETTINGS}.items():
        assert control.name == name and control.live == (name in CONTROLS)
        assert control.help and "\n" not in control.help and not control.help.endswith(".")
        if control.default not in (None, {}, ""):
            assert type(control.default) is control.type
    assert {name: getattr(Controls(), name) for name in CONTROLS} == {
        name: control.default for name, control in CONTROLS.items()
    }


def test_controls_are_immutable_and_replaced_like_a_named_tuple():
    controls = Controls(strength=0.5)
    with pytest.raises(AttributeError):
        controls.strength = 1.0
    changed = controls._replace(passes=2)
    assert changed == Controls(strength=0.5, passes=2) and controls == Controls(strength=0.5)
    assert list(changed._asdict()) == list(CONTROLS) and changed._asdict()["passes"] == 2
    assert describe(changed) == "strength 0.5, passes 2"


def test_the_documentation_holds_the_table_of_controls(repository):
    pages = [os.path.join(repository, "README.md"), *glob.glob(os.path.join(repository, "doc", "*.md"))]
    found = [page for page in pages if markdown_table() in open(page, encoding="utf-8").read()]
    assert len(found) == 1, "print(controls.markdown_table()) gives the table"


def test_a_control_is_known_by_its_other_spelling():
    assert controls_from({"keep_colors": "coral"}) == Controls(keep_colours="coral")
    with pytest.raises(OptionError, match="keep_colours is given twice"):
        controls_from({"keep_colors": "coral", "keep_colours": "no"})
    with pytest.raises(OptionError, match="unknown control 'dtype'"):
        controls_from({"dtype": "float32"})


def test_a_deprecated_name_is_noticed_once_and_a_spelling_is_not():
    notices = []
    assert current_name("dtype", notices.append, "~{}".format) == "precision"
    assert notices == ["~dtype is deprecated; use ~precision"]
    for name in ("keep_colors", "precision", "strength"):
        assert current_name(name, notices.append) in (name, "keep_colours")
    assert len(notices) == 1
    assert all(alias.name in {**CONTROLS, **SETTINGS, "style_weights": None} for alias in ALIASES.values())


def test_weights_a_mask_and_whitening_exclude_each_other():
    check_styles(2, (1, 2))
    check_styles(2, masked=True, method="wct")
    check_styles(0, method="whiten")
    with pytest.raises(OptionError, match="3 weights for 2 styles"):
        check_styles(2, (1, 2, 3))
    with pytest.raises(OptionError, match="use either weights or a mask"):
        check_styles(2, (1, 2), masked=True)
    with pytest.raises(OptionError, match="a mask has no effect with method whiten"):
        check_styles(1, masked=True, method="whiten")


# The registry of models


@pytest.mark.parametrize("model", MODELS)
def test_a_models_spec_is_consistent(model):
    spec = MODELS[model]
    assert list(spec.levels) == sorted(spec.levels, reverse=True), "coarse to fine"
    assert set(spec.swap_levels) <= set(spec.levels) <= set(ALL_LEVELS)
    assert spec.precisions == FLOATS + (("int8",) if spec.int8 else ())
    for precision in (*spec.precisions, "auto"):
        check_model(model, precision)


def test_the_default_model_comes_first():
    assert next(iter(MODELS)) == DEFAULT_MODEL == SETTINGS["model"].default == "live"
