"""Every control as a user meets it: what it does to a painted picture, and what it leaves alone."""

import hashlib
import itertools

import numpy as np
import pytest
from conftest import draw_scene
from references import WIDTHS, random_arrays

from ros_style_transfer.controls import Controls
from ros_style_transfer.errors import ImageError, OptionError, StyleTransferError
from ros_style_transfer.media import images
from ros_style_transfer.models import weights
from ros_style_transfer.models.shapes import LIVE_BLOCKS
from ros_style_transfer.stylizer import Stylizer
from ros_style_transfer.transfer import colours

LEVELS = (5, 4, 3, 2, 1)


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture(scope="module")
def stylizer(clock):
    return Stylizer("cascade", "float32", clock=clock)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """The live model with weights that have learned nothing: none of its controls cares."""
    folder = str(tmp_path_factory.mktemp("weights"))
    weights.save(
        "live", random_arrays(), folder, backbone="vgg16", widths=list(WIDTHS), blocks=list(LIVE_BLOCKS), ridge=0.01
    )
    return Stylizer("live", "float32", weights_dir=folder)


@pytest.fixture(scope="module")
def picture():
    return draw_scene(96, 80)


@pytest.fixture(scope="module")
def style_a(styles):
    return styles["mosaic"]


@pytest.fixture(scope="module")
def style_b(styles):
    return styles["ink_wash"]


def paint(stylizer, styles, rgb, mask=None, weights=None, **controls):
    """``rgb`` painted in one style or in several at once."""
    stylizer.set_styles(styles if isinstance(styles, list) else [styles], weights)
    return stylizer.stylize(rgb, Controls(**controls), mask)


def difference(a, b):
    """Mean absolute difference in grey levels."""
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    return np.abs(a.astype(float) - b).mean()


def colours_of(rgb):
    """The mean and the standard deviation of each channel."""
    flat = rgb.reshape(-1, 3).astype(float)
    return np.concatenate([flat.mean(0), flat.std(0)])


def lightness(rgb):
    return rgb.astype(float) @ [0.299, 0.587, 0.114]


def halves(left, right, width=96, height=80):
    mask = np.full((height, width), left, np.uint8)
    mask[:, width // 2 :] = right
    return mask


# Strengths, levels, passes


def test_no_strength_gives_the_picture_back_whatever_else_is_asked_for(stylizer, style_a, picture):
    for controls in ({}, {"passes": 3}, {"swap": 1.0}, {"keep_colours": "coral"}, {"method": "whiten"}):
        assert np.array_equal(paint(stylizer, style_a, picture, strength=0, **controls), picture)
    given = paint(stylizer, style_a, picture, strength=0)
    given[:] = 0
    assert picture.any(), "the caller's own picture was handed out"


def test_no_strength_at_any_level_gives_the_picture_back(stylizer, style_a, picture):
    nowhere = {level: 0 for level in LEVELS}
    assert np.array_equal(paint(stylizer, style_a, picture, level_strength=nowhere), picture)


def test_levels_that_are_not_named_have_the_full_strength(stylizer, style_a, picture):
    painted = paint(stylizer, style_a, picture)
    assert np.array_equal(painted, paint(stylizer, style_a, picture, level_strength={level: 1 for level in LEVELS}))
    assert np.array_equal(painted, paint(stylizer, style_a, picture, levels=LEVELS))
    assert difference(painted, paint(stylizer, style_a, picture, level_strength={5: 0.0})) > 5


def test_a_coarse_levels_strength_decides_how_much_structure_stays(stylizer, style_a, picture):
    kept = []
    for strength in (1.0, 0.5, 0.0):
        painted = paint(stylizer, style_a, picture, level_strength={5: strength, 4: strength, 3: strength})
        kept.append(np.corrcoef(lightness(painted).ravel(), lightness(picture).ravel())[0, 1])
    assert kept[0] < kept[1] < kept[2] - 0.02


def test_order_of_the_cascades_levels_matters(stylizer, style_a, picture):
    assert difference(paint(stylizer, style_a, picture), paint(stylizer, style_a, picture, levels=LEVELS[::-1])) > 5


def test_second_pass_paints_the_painted_picture_again(stylizer, style_a, picture):
    once, twice = paint(stylizer, style_a, picture), paint(stylizer, style_a, picture, passes=2)
    again = paint(stylizer, style_a, once)
    # Between the passes nothing is rounded to whole levels, nor cut off at 0 and 255.
    assert difference(twice, again) < 15 < 20 < difference(twice, once)


# Methods and swap


def test_methods_paint_differently(stylizer, style_a, picture):
    painted = {method: paint(stylizer, style_a, picture, method=method) for method in ("wct", "ot", "adain", "whiten")}
    assert np.array_equal(painted["wct"], paint(stylizer, style_a, picture)), "wct is the cascade's own"
    for a, b in itertools.combinations(painted, 2):
        assert difference(painted[a], painted[b]) > 5, (a, b)


@pytest.mark.parametrize("method", ["wct", "ot", "adain"])
def test_every_method_brings_the_styles_colours(stylizer, styles, picture, method):
    for name in ("mosaic", "woodcut", "flow_night"):
        target = colours_of(styles[name])
        before = np.linalg.norm(colours_of(picture) - target)
        after = np.linalg.norm(colours_of(paint(stylizer, styles[name], picture, method=method)) - target)
        assert after < 0.6 * before, name


def test_whitening_needs_no_style_and_does_not_look_at_one(stylizer, style_a, style_b, picture):
    whitened = Stylizer("cascade", "float32").stylize(picture, Controls(method="whiten"))
    for style in (style_a, style_b):
        assert np.array_equal(paint(stylizer, style, picture, method="whiten"), whitened)
    assert difference(whitened, picture) > 5


def test_more_swap_goes_further_from_what_is_painted_without(stylizer, style_a, picture):
    painted = paint(stylizer, style_a, picture)
    assert np.array_equal(paint(stylizer, style_a, picture, swap=0, swap_level=4, swap_patch=5), painted)
    gone = [difference(paint(stylizer, style_a, picture, swap=swap), painted) for swap in (0.001, 0.2, 1.0)]
    assert gone[0] < 2 and gone[0] + 5 < gone[1] < gone[2] - 5


@pytest.mark.parametrize("setting", [{"swap_level": 4}, {"swap_patch": 1}, {"swap_stride": 3}])
def test_swaps_settings_matter_once_there_is_a_swap(stylizer, style_a, picture, setting):
    swapped = paint(stylizer, style_a, picture, swap=1)
    assert difference(swapped, paint(stylizer, style_a, picture, swap=1, **setting)) > 5
    assert np.array_equal(paint(stylizer, style_a, picture), paint(stylizer, style_a, picture, **setting))


# Colours


def test_luminance_is_painted_and_colours_are_the_contents(stylizer, styles, picture):
    for name in ("mosaic", "woodcut"):
        painted = paint(stylizer, styles[name], picture)
        kept = paint(stylizer, styles[name], picture, keep_colours="luminance")
        # The same shift of all three channels changes lightness and leaves chroma.
        wanted = picture + (lightness(painted) - lightness(picture))[..., None]
        assert np.abs(kept - np.clip(wanted, 0, 255)).max() <= 3, name


def test_coral_paints_in_the_recoloured_style(stylizer, style_a, picture):
    seen = style_a[:96, :96]  # as large as the content: it is not scaled
    recoloured = colours.coral(seen, *colours.colour_statistics(picture))
    assert np.array_equal(paint(stylizer, seen, picture, keep_colours="coral"), paint(stylizer, recoloured, picture))


def test_coral_brings_the_colours_nearer_to_the_contents(stylizer, styles, picture):
    for name, style in styles.items():
        away = [
            np.linalg.norm(paint(stylizer, style, picture, keep_colours=keep).mean((0, 1)) - picture.mean((0, 1)))
            for keep in ("no", "coral")
        ]
        assert away[1] < max(12, 0.6 * away[0]), name


def test_coral_follows_the_content(stylizer, style_a):
    red, blue = (np.uint8(np.clip(0.3 * draw_scene(48, 48) + tint, 0, 255)) for tint in ([120, 20, 20], [20, 20, 120]))
    stylizer.set_style(style_a)
    for _ in range(2):  # the second time from memory
        painted = [stylizer.stylize(content, Controls(keep_colours="coral")).mean((0, 1)) for content in (red, blue)]
        assert painted[0][0] > painted[0][2] + 40 and painted[1][2] > painted[1][0] + 40


# The style: scale, crop, texture


def test_style_scale_is_how_large_the_style_is_seen(stylizer, style_a, picture):
    for scale, side in ((0.5, 48), (2.0, 192)):
        found = paint(stylizer, style_a, picture, style_scale=scale)
        seen = images.resize(style_a, side, side)
        assert np.array_equal(found, paint(stylizer, seen, picture, style_scale=scale)), scale
        assert np.array_equal(found, paint(stylizer, seen, picture, style_scale=4.0)), "it is never enlarged"
        assert difference(found, paint(stylizer, style_a, picture)) > 5


def test_smallest_style_scale_still_paints(stylizer, style_a, picture):
    for rgb in (picture, draw_scene(1, 1), draw_scene(20, 7)):
        assert paint(stylizer, style_a, rgb, style_scale=0.05).shape == rgb.shape


@pytest.mark.parametrize("width, height", [(512, 512), (301, 200), (99, 333)])
def test_style_crop_is_the_styles_middle(stylizer, style_a, picture, width, height):
    style = style_a[:height, :width]
    w, h = round(width / 2), round(height / 2)
    middle = style[(height - h) // 2 :][:h, (width - w) // 2 :][:, :w]
    found = paint(stylizer, style, picture, style_crop=0.5)
    assert np.array_equal(found, paint(stylizer, middle, picture))
    assert difference(found, paint(stylizer, style, picture)) > 3
    assert np.array_equal(paint(stylizer, style, picture, style_crop=1.0), paint(stylizer, style, picture))


def test_texture_depends_on_its_seed_alone(stylizer, style_a, style_b, picture):
    stylizer.set_style(style_a)
    first = stylizer.texture(80, 64, seed=3)
    assert first.shape == (64, 80, 3) and first.dtype == np.uint8
    other = stylizer.texture(80, 64, seed=4)
    paint(stylizer, style_b, picture)
    stylizer.set_style(style_a)
    assert np.array_equal(stylizer.texture(80, 64, seed=3), first)
    assert difference(other, first) > 10


def test_texture_is_the_same_in_another_process(stylizer, style_a, run):
    stylizer.set_style(style_a)
    process = run(
        "-c",
        """if True:
        import hashlib
        from ros_style_transfer.media.style_library import StyleLibrary
        from ros_style_transfer.stylizer import Stylizer
        stylizer = Stylizer("cascade", "float32")
        stylizer.set_style(StyleLibrary().read("mosaic"))
        print(hashlib.sha256(stylizer.texture(96, 64, seed=11)).hexdigest())
        """,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == hashlib.sha256(stylizer.texture(96, 64, seed=11)).hexdigest()


def test_texture_has_the_styles_colours_and_no_noise(stylizer, styles):
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    for name in ("mosaic", "ink_wash", "flow_night"):
        stylizer.set_style(styles[name])
        texture = stylizer.texture(80, 64)
        assert np.abs(colours_of(texture) - colours_of(styles[name]))[:3].max() < 20, name
        steps = [np.abs(np.diff(lightness(rgb), axis=1)).mean() for rgb in (texture, noise)]
        assert steps[0] < 0.75 * steps[1], name


def test_texture_takes_all_controls(stylizer, style_a):
    stylizer.set_style(style_a)
    once, thrice = (stylizer.texture(64, 48, 1, Controls(passes=passes)) for passes in (1, 3))
    assert np.array_equal(thrice, stylizer.texture(64, 48, 1))
    assert difference(once, thrice) > 5
    assert np.array_equal(
        stylizer.texture(64, 48, 1, Controls(strength=0)),
        np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8),
    )


def test_texture_of_no_size_is_refused(stylizer, style_a):
    stylizer.set_style(style_a)
    with pytest.raises(ImageError, match="0x5"):
        stylizer.texture(0, 5)


# Masks


@pytest.mark.parametrize("feather", [0.0, 2.0, 5.0])
@pytest.mark.parametrize("keep", ["no", "luminance"])
def test_unpainted_region_stays_pixel_for_pixel_away_from_the_feathered_edge(stylizer, style_a, picture, feather, keep):
    painted = paint(stylizer, style_a, picture, halves(0, 1), feather=feather, keep_colours=keep)
    reach = int(np.ceil(2 * feather)) + bool(feather)
    assert np.array_equal(painted[:, : 48 - reach], picture[:, : 48 - reach])
    assert difference(painted[:, 48 + reach :], picture[:, 48 + reach :]) > 10


def test_feather_is_a_soft_way_from_the_painting_to_the_picture(stylizer, style_a, picture):
    painted = paint(stylizer, style_a, picture, halves(0, 1), feather=6.0)
    changed = np.abs(painted.astype(float) - picture).mean((0, 2))
    inside, edge, near, far = changed[60:].mean(), changed[46:48].mean(), changed[43:45].mean(), changed[40:42].mean()
    assert 0.7 * inside > edge > 2 * near > 4 * far > 0


def test_every_region_has_its_own_styles_colours(stylizer, style_a, style_b, picture):
    alone = [colours_of(paint(stylizer, style, picture)) for style in (style_a, style_b)]
    apart = np.linalg.norm(alone[0] - alone[1])
    for mask, left, right in ((halves(1, 2), 0, 1), (halves(2, 1), 1, 0)):
        painted = paint(stylizer, [style_a, style_b], picture, mask)
        assert np.linalg.norm(colours_of(painted[:, :40]) - alone[left]) < 0.25 * apart
        assert np.linalg.norm(colours_of(painted[:, 56:]) - alone[right]) < 0.25 * apart


def test_masks_do_not_look_at_the_mixtures_weights(stylizer, style_a, style_b, picture):
    expected = paint(stylizer, [style_a, style_b], picture, halves(1, 2))
    assert np.array_equal(paint(stylizer, [style_a, style_b], picture, halves(1, 2), weights=[1, 0]), expected)


@pytest.mark.parametrize("label", [1, 2])
def test_one_region_everywhere_is_its_style_alone(stylizer, style_a, style_b, picture, label):
    painted = paint(stylizer, [style_a, style_b], picture, np.full((80, 96), label, np.uint8))
    assert difference(painted, paint(stylizer, (style_a, style_b)[label - 1], picture)) < 0.5


def test_same_style_in_all_regions_paints_all_of_them(stylizer, style_a, picture):
    painted = paint(stylizer, [style_a, style_a], picture, halves(1, 2))
    target = colours_of(style_a)
    for part in (painted[:, :40], painted[:, 56:]):
        assert np.linalg.norm(colours_of(part) - target) < 0.6 * np.linalg.norm(colours_of(picture) - target)


def test_nothing_painted_is_the_picture_itself(stylizer, style_a, picture):
    assert np.array_equal(paint(stylizer, style_a, picture, np.zeros((80, 96), np.uint8)), picture)


def test_a_region_of_one_pixel_paints_that_pixel(stylizer, style_a, style_b, picture):
    mask = np.zeros((80, 96), np.uint8)
    mask[40, 50] = 2
    painted = paint(stylizer, [style_a, style_b], picture, mask, feather=0)
    changed = (painted != picture).any(-1)
    changed[40, 50] = False
    assert not changed.any()


def test_labels_scattered_at_random_over_an_odd_sized_picture(stylizer, style_a, style_b):
    rgb = draw_scene(53, 37)
    mask = np.random.default_rng(0).integers(0, 3, (37, 53)).astype(np.uint8)
    for feather in (0, 4.0, 1000.0):
        painted = paint(stylizer, [style_a, style_b], rgb, mask, feather=feather)
        assert painted.shape == rgb.shape and painted.dtype == np.uint8
        if not feather:
            assert np.array_equal(painted[mask == 0], rgb[mask == 0])


def test_black_and_white_masks_and_other_sizes_mean_the_same(stylizer, style_a, picture):
    expected = paint(stylizer, style_a, picture, halves(0, 1))
    for mask in (halves(0, 255), halves(0, 1, 192, 160), halves(0, 255, 48, 40)):
        assert np.array_equal(paint(stylizer, style_a, picture, mask), expected)


@pytest.mark.parametrize(
    "mask, error, words",
    [
        (halves(0, 3), OptionError, ("label 3", "2 styles")),
        (halves(0, 1, 80, 96), ImageError, ("80x96", "96x80", "proportions")),
        (halves(0, 1).astype(float), ImageError, ("uint8", "float64 (80, 96)")),
        (np.dstack([halves(0, 1)] * 3), ImageError, ("[height, width]", "(80, 96, 3)")),
        (halves(0, 1) > 0, ImageError, ("uint8", "bool")),
        ("mask.png", ImageError, ("str",)),
    ],
)
def test_wrong_masks_are_refused_in_one_sentence(stylizer, style_a, style_b, picture, mask, error, words):
    stylizer.set_styles([style_a, style_b])
    with pytest.raises(error) as raised:
        stylizer.stylize(picture, mask=mask)
    assert all(word in str(raised.value) for word in words) and "\n" not in str(raised.value)


def test_mask_with_a_method_without_style_is_refused(stylizer, style_a, picture):
    with pytest.raises(OptionError, match="a mask has no effect with method whiten, which uses no style") as error:
        paint(stylizer, style_a, picture, halves(0, 1), method="whiten")
    assert "\n" not in str(error.value)


# Saturation


def test_saturation_changes_the_painted_colours_and_nothing_else(stylizer, style_a, picture):
    as_painted = paint(stylizer, style_a, picture)
    assert np.array_equal(paint(stylizer, style_a, picture, saturation=1.0), as_painted)
    grey = paint(stylizer, style_a, picture, saturation=0.0)
    assert np.ptp(grey.astype(int), axis=-1).max() <= 1
    assert np.abs(lightness(grey) - lightness(as_painted)).max() < 1
    spread = [
        np.abs(rgb - lightness(rgb)[..., None]).mean()
        for rgb in (paint(stylizer, style_a, picture, saturation=value) for value in (0.0, 0.5, 1.0, 1.5))
    ]
    assert spread == sorted(spread) and spread[1] < 0.6 * spread[2] < 0.9 * spread[3]
    assert np.array_equal(paint(stylizer, style_a, picture, saturation=0.0, strength=0), picture), "nothing is painted"


def test_saturation_leaves_what_a_mask_leaves_unpainted_alone(stylizer, style_a, picture):
    painted = paint(stylizer, style_a, picture, halves(0, 1), saturation=0.0, feather=0.0)
    assert np.array_equal(painted[:, :48], picture[:, :48])
    assert np.ptp(painted[:, 48:].astype(int), axis=-1).max() <= 1


def test_saturation_comes_after_the_contents_colours_were_kept(stylizer, style_a, picture):
    kept = paint(stylizer, style_a, picture, keep_colours="luminance")
    expected = colours.saturate(kept, 0.4)
    assert np.array_equal(paint(stylizer, style_a, picture, keep_colours="luminance", saturation=0.4), expected)


# Several styles


def test_only_the_weights_proportions_count(stylizer, style_a, style_b, picture):
    expected = paint(stylizer, [style_a, style_b], picture, weights=[1, 3])
    for given in ([0.25, 0.75], (100, 300), np.array([2, 6], np.uint8), ["1", "3"]):
        assert difference(paint(stylizer, [style_a, style_b], picture, weights=given), expected) < 0.5
    assert np.array_equal(
        paint(stylizer, [style_a, style_b], picture), paint(stylizer, [style_a, style_b], picture, weights=[7, 7])
    )


def test_a_style_of_weight_one_is_alone(stylizer, style_a, style_b, picture):
    alone = [paint(stylizer, style, picture) for style in (style_a, style_b)]
    assert np.array_equal(paint(stylizer, [style_a, style_b], picture, weights=[1, 0]), alone[0])
    assert np.array_equal(paint(stylizer, [style_a, style_b], picture, weights=[0, 5]), alone[1])
    assert np.array_equal(paint(stylizer, [style_a], picture, weights=[0.2]), alone[0])


def test_a_style_mixed_with_itself_is_that_style(stylizer, style_a, picture):
    mixed = paint(stylizer, [style_a, style_a], picture, weights=[1, 2])
    assert difference(mixed, paint(stylizer, style_a, picture)) < 0.5


def test_mixtures_colours_go_from_one_style_to_the_other(stylizer, style_a, style_b, picture):
    ends = [colours_of(paint(stylizer, style, picture)) for style in (style_a, style_b)]
    along = ends[1] - ends[0]
    at = [
        (colours_of(paint(stylizer, [style_a, style_b], picture, weights=[1 - share, share])) - ends[0])
        @ along
        / (along @ along)
        for share in (0.2, 0.5, 0.8)
    ]
    assert 0.05 < at[0] < at[1] - 0.1 < at[2] - 0.2 < 0.75


def test_order_of_the_mixed_styles_does_not_matter(stylizer, styles, picture):
    three = [styles[name] for name in ("mosaic", "ink_wash", "woodcut")]
    painted = paint(stylizer, three, picture, weights=[1, 2, 3])
    assert difference(paint(stylizer, three[::-1], picture, weights=[3, 2, 1]), painted) < 1.0
    assert difference(paint(stylizer, three, picture, weights=[3, 2, 1]), painted) > 5


@pytest.mark.parametrize(
    "given",
    [
        [1],
        [1, 2, 3],
        [],
        [0, 0],
        [-1, 2],
        [1, float("nan")],
        [1, float("inf")],
        ["a", "b"],
        "ab",
        1,
        [[1, 2]],
        [None, 1],
        [1e308, 1e308],
        {"a": 1},
    ],
    ids=repr,
)
def test_wrong_weights_are_refused_and_leave_the_style(stylizer, style_a, style_b, picture, given):
    before = paint(stylizer, style_a, picture)
    with pytest.raises(OptionError, match="weights") as error:
        stylizer.set_styles([style_a, style_b], given)
    assert str(given) in str(error.value) and "\n" not in str(error.value)
    assert np.array_equal(stylizer.stylize(picture), before)


@pytest.mark.parametrize("fade", [-1, float("nan"), float("inf"), "1", None, True, 3601])
def test_wrong_fades_are_refused_and_leave_the_style(stylizer, style_a, style_b, picture, fade):
    before = paint(stylizer, style_a, picture)
    with pytest.raises(OptionError, match="fade must be a number from 0 to 3600") as error:
        stylizer.set_style(style_b, fade=fade)
    assert repr(fade) in str(error.value)
    assert np.array_equal(stylizer.stylize(picture), before)


def test_no_style_at_all_is_refused(stylizer, style_a, picture):
    before = paint(stylizer, style_a, picture)
    with pytest.raises(OptionError, match="at least one style"):
        stylizer.set_styles([])
    assert np.array_equal(stylizer.stylize(picture), before)


# Cross-fades


def at(stylizer, clock, seconds, rgb, **controls):
    clock.now = seconds
    return stylizer.stylize(rgb, Controls(**controls))


def test_fade_begins_with_the_old_style_and_ends_with_the_new(stylizer, clock, style_a, style_b, picture):
    new, old = (paint(stylizer, style, picture) for style in (style_b, style_a))
    clock.now = 50.0
    stylizer.set_style(style_b, fade=2.0)
    assert np.array_equal(at(stylizer, clock, 50.0, picture), old)
    middle = at(stylizer, clock, 51.0, picture)
    assert min(difference(middle, old), difference(middle, new)) > 5
    for seconds in (52.0, 53.0, 1e9):
        assert np.array_equal(at(stylizer, clock, seconds, picture), new)


def test_fade_is_the_mixture_by_the_time_that_has_passed(stylizer, clock, style_a, style_b, picture):
    mixture = paint(stylizer, [style_a, style_b], picture, weights=[0.7, 0.3])
    stylizer.set_style(style_a)
    clock.now = 0.0
    stylizer.set_style(style_b, fade=10.0)
    assert difference(at(stylizer, clock, 3.0, picture), mixture) < 0.5


@pytest.mark.parametrize("controls", [{}, {"swap": 1.0}], ids=repr)
def test_fade_never_jumps(stylizer, clock, style_a, style_b, picture, controls):
    whole = difference(paint(stylizer, style_b, picture, **controls), paint(stylizer, style_a, picture, **controls))
    clock.now = 0.0
    stylizer.set_style(style_b, fade=1.0)
    for start in (0.0, 0.1, 0.3, 0.495, 0.7, 0.9, 0.99):
        before = at(stylizer, clock, start, picture, **controls)
        steps = [difference(at(stylizer, clock, start + step, picture, **controls), before) for step in (0.01, 0.001)]
        assert steps[0] < 0.12 * whole and steps[1] < 0.05 * whole, start


def test_style_that_is_set_within_a_fade_goes_on_from_what_is_painted(stylizer, clock, styles, picture):
    first, second, third = (styles[name] for name in ("mosaic", "ink_wash", "woodcut"))
    last = paint(stylizer, third, picture)
    stylizer.set_style(first)
    clock.now = 0.0
    stylizer.set_style(second, fade=2.0)
    before = at(stylizer, clock, 0.8, picture)
    stylizer.set_style(third, fade=2.0)
    assert difference(at(stylizer, clock, 0.8, picture), before) < 0.5
    assert difference(at(stylizer, clock, 0.81, picture), before) < 0.12 * difference(before, last)
    assert not np.array_equal(at(stylizer, clock, 2.7, picture), last)
    assert np.array_equal(at(stylizer, clock, 2.9, picture), last)


def test_style_that_is_set_within_a_fade_without_one_is_there_at_once(stylizer, clock, style_a, style_b, picture):
    old = paint(stylizer, style_a, picture)
    clock.now = 0.0
    stylizer.set_style(style_b, fade=2.0)
    at(stylizer, clock, 1.0, picture)
    stylizer.set_style(style_a)
    assert np.array_equal(stylizer.stylize(picture), old)


def test_first_style_of_all_fades_from_nothing(clock, style_a, picture):
    clock.now = 0.0
    fresh = Stylizer("cascade", "float32", clock=clock)
    fresh.set_style(style_a, fade=5.0)
    at_once = fresh.stylize(picture)
    assert np.array_equal(at(fresh, clock, 10.0, picture), at_once)


def test_fade_to_the_style_that_is_painted_changes_nothing(stylizer, clock, style_a, picture):
    old = paint(stylizer, style_a, picture)
    clock.now = 0.0
    stylizer.set_style(style_a.copy(), fade=2.0)
    for seconds in (0.0, 0.7, 1.9):
        assert difference(at(stylizer, clock, seconds, picture), old) < 0.5


def test_fade_between_mixtures_goes_on_with_weights(stylizer, clock, style_a, style_b, picture):
    halfway = paint(stylizer, [style_a, style_b], picture, weights=[0.5, 0.5])
    stylizer.set_styles([style_a, style_b], [0.8, 0.2])
    clock.now = 0.0
    stylizer.set_styles([style_b, style_a], [0.8, 0.2], fade=4.0)
    assert difference(at(stylizer, clock, 2.0, picture), halfway) < 0.5


# Whatever is asked for, on whatever picture


EVERY_CONTROL = [
    {"strength": 0.5},
    {"level_strength": {2: 0.0, 1: 0.3}},
    {"levels": (2, 1)},
    {"passes": 2},
    {"method": "wct"},
    {"method": "ot"},
    {"method": "adain"},
    {"method": "whiten"},
    {"swap": 0.7, "swap_patch": 1},
    {"swap": 1.0, "swap_patch": 1, "swap_stride": 2},
    {"keep_colours": "luminance"},
    {"keep_colours": "coral"},
    {"style_scale": 0.1},
    {"style_scale": 4.0},
    {"style_crop": 0.05},
    {"smoothing": 0.5},
    {"saturation": 0.0},
    {"saturation": 2.0},
    {"swap": 0.5, "swap_patch": 1, "keep_colours": "coral", "passes": 2, "style_scale": 0.5, "style_crop": 0.7},
]
PICTURES = [
    draw_scene(1, 1),
    draw_scene(20, 7),
    draw_scene(53, 37),
    np.zeros((21, 33, 3), np.uint8),
    np.full((40, 32, 3), 255, np.uint8),
]


@pytest.mark.slow
@pytest.mark.parametrize("controls", EVERY_CONTROL, ids=repr)
@pytest.mark.parametrize("model", ["stylizer", "live"])
def test_every_control_paints_tiny_flat_and_odd_sized_pictures(request, monkeypatch, styles, model, controls):
    model = request.getfixturevalue(model)
    unchecked = model._pipeline.stylize

    def finite(*arguments):
        painted = unchecked(*arguments)
        assert np.isfinite(painted).all(), "as uint8 it would look like a colour"
        return painted

    monkeypatch.setattr(model._pipeline, "stylize", finite)
    tiny_and_flat = [styles["mosaic"], draw_scene(1, 1), np.full((9, 5, 3), 90, np.uint8)]
    for rgb in PICTURES:
        painted = paint(model, tiny_and_flat, rgb, **controls)
        assert painted.shape == rgb.shape and painted.dtype == np.uint8
        if controls.get("method") != "whiten":
            mask = np.uint8(np.arange(rgb.size // 3).reshape(rgb.shape[:2]) % 4)
            assert paint(model, tiny_and_flat, rgb, mask, **controls).shape == rgb.shape


def test_patches_of_tiny_pictures_are_refused_in_one_sentence(stylizer, style_a):
    for rgb in (draw_scene(1, 1), draw_scene(20, 7)):
        with pytest.raises(OptionError, match="swap_patch 3 .* level 5, 2x2; choose a smaller one") as error:
            paint(stylizer, style_a, rgb, swap=1.0)
        assert "\n" not in str(error.value)


def test_refused_call_leaves_the_stylizer_as_it_was(stylizer, style_a, picture):
    before = paint(stylizer, style_a, picture)
    for rgb, controls, mask in (
        (picture, Controls(strength=2), None),
        (picture, Controls(levels=(9,)), None),
        (picture[0], Controls(), None),
        (picture, Controls(), halves(0, 9)),
        (draw_scene(9, 9), Controls(swap=1), None),
    ):
        with pytest.raises(StyleTransferError):
            stylizer.stylize(rgb, controls, mask)
    assert np.array_equal(stylizer.stylize(picture), before)


@pytest.mark.parametrize("levels", [(2, 1, 0), (1,), (2, 1), (2, 0), (0,)])
def test_live_model_paints_its_levels_at_once(live, style_a, picture, levels):
    painted = paint(live, style_a, picture, levels=levels)
    nowhere_else = {level: 0 for level in (2, 1, 0) if level not in levels}
    # One round of all: a level without strength is a level that is not named.
    assert difference(painted, paint(live, style_a, picture, level_strength=nowhere_else)) < 0.5


@pytest.mark.parametrize(
    "controls, words",
    [
        ({"levels": (5,)}, "2,1,0 (model live)"),
        ({"levels": (1, 2)}, "descending order"),
        ({"swap": 1.0, "swap_level": 5}, "2,1 (model live)"),
        ({"level_strength": {5: 0.5}}, "model live has 2,1,0"),
    ],
)
def test_live_model_has_levels_of_its_own(live, style_a, picture, controls, words):
    with pytest.raises(OptionError) as error:
        paint(live, style_a, picture, **controls)
    assert words in str(error.value)


def test_live_models_own_method_is_the_transport(live, style_a, picture):
    assert np.array_equal(paint(live, style_a, picture), paint(live, style_a, picture, method="ot"))
    assert difference(paint(live, style_a, picture), paint(live, style_a, picture, method="adain")) > 0.5


def test_smoothing_leaves_what_a_mask_leaves_unpainted_alone():
    stylizer = Stylizer("cascade", "float32")
    rng = np.random.default_rng(3)
    stylizer.set_style(rng.integers(0, 256, (96, 96, 3), np.uint8))
    mask = np.zeros((64, 96), np.uint8)
    mask[:, :48] = 1
    for _ in range(3):  # a still scene and a camera's noise
        frame = np.uint8(100 + rng.integers(-3, 4, (64, 96, 3)))
        painted = stylizer.stylize(frame, Controls(smoothing=0.7, feather=0.0), mask)
        assert np.array_equal(painted[:, 48:], frame[:, 48:])


def test_smoothing_never_hides_a_fade_or_a_change_of_controls():
    now = [0.0]
    steadied, plain = (Stylizer("cascade", "float32", clock=lambda: now[0]) for _ in range(2))
    rng = np.random.default_rng(4)
    first, second = rng.integers(0, 256, (2, 96, 96, 3), np.uint8) // np.uint8([2])
    scene = rng.integers(0, 256, (64, 96, 3), np.uint8)
    for stylizer in (steadied, plain):
        stylizer.set_style(first)
    steadied.stylize(scene, Controls(smoothing=1.0))
    for stylizer in (steadied, plain):
        stylizer.set_style(255 - second, fade=2.0)
    now[0] = 1.0
    assert np.array_equal(steadied.stylize(scene, Controls(smoothing=1.0)), plain.stylize(scene))
    now[0] = 3.0
    half = steadied.stylize(scene, Controls(smoothing=1.0, strength=0.3))
    assert np.array_equal(half, plain.stylize(scene, Controls(strength=0.3)))
