"""Styles by name and by path, and what may not be read."""

import os

import numpy as np
import pytest
from PIL import Image

from ros_style_transfer.errors import ImageError, StyleError
from ros_style_transfer.media import images
from ros_style_transfer.media.style_library import SHIPPED, StyleLibrary, split_names

GREEN = np.full((8, 8, 3), (10, 200, 30), np.uint8)


@pytest.fixture
def folder(tmp_path):
    """A user's folder with the style ``mine``; ``secret.png`` lies beside it."""
    images.write(str(tmp_path / "styles" / "mine.png"), GREEN)
    images.write(str(tmp_path / "secret.png"), GREEN)
    return str(tmp_path / "styles")


def test_at_least_eight_small_readable_styles_are_shipped(styles):
    paths = StyleLibrary().paths()
    assert len(paths) >= 8
    for name, path in paths.items():
        assert os.path.getsize(path) <= 100 * 1024, name
        assert min(styles[name].shape[:2]) >= 256, name


def test_names_are_sorted_file_names_of_pictures_alone(folder):
    (open(os.path.join(folder, "notes.txt"), "w")).close()
    names = list(StyleLibrary([folder]).paths())
    assert names == sorted(names)
    assert "mine" in names and "mosaic" in names
    assert not {"notes", "paint", "__init__"} & set(names)


def test_users_folder_hides_the_shipped_style_of_the_same_name(folder):
    images.write(os.path.join(folder, "mosaic.png"), GREEN)
    assert np.array_equal(StyleLibrary([folder]).read("mosaic"), GREEN)
    assert not np.array_equal(StyleLibrary().read("mosaic"), GREEN)


def test_first_folder_hides_the_second(folder, tmp_path):
    images.write(str(tmp_path / "second" / "mine.png"), GREEN // 2)
    second = str(tmp_path / "second")
    assert np.array_equal(StyleLibrary([folder, second]).read("mine"), GREEN)
    assert np.array_equal(StyleLibrary([second, folder]).read("mine"), GREEN // 2)


def test_style_added_later_is_found(folder):
    library = StyleLibrary([folder])
    images.write(os.path.join(folder, "later.png"), GREEN)
    assert np.array_equal(library.read("later"), GREEN)


def test_path_inside_a_folder_is_accepted(folder):
    path = os.path.join(folder, "mine.png")
    assert np.array_equal(StyleLibrary([folder]).read(path), GREEN)
    shipped = os.path.join(SHIPPED, "mosaic.jpg")
    assert os.path.samefile(StyleLibrary([folder]).find(shipped), shipped)


def test_folder_reached_through_a_link_is_accepted(folder, tmp_path):
    link = str(tmp_path / "link")
    os.symlink(folder, link)
    assert np.array_equal(StyleLibrary([link]).read(os.path.join(link, "mine.png")), GREEN)


@pytest.mark.parametrize("escape", ["absolute", "dots", "link", "sibling"])
def test_path_outside_the_folders_is_refused(folder, tmp_path, escape):
    if escape == "link":
        os.symlink(str(tmp_path / "secret.png"), os.path.join(folder, "link.png"))
    images.write(str(tmp_path / "styles_private" / "secret.png"), GREEN)  # begins like the folder's name
    path = {
        "absolute": str(tmp_path / "secret.png"),
        "dots": os.path.join(folder, "..", "secret.png"),
        "link": os.path.join(folder, "link.png"),
        "sibling": str(tmp_path / "styles_private" / "secret.png"),
    }[escape]
    assert os.path.isfile(path)
    with pytest.raises(StyleError, match="outside") as error:
        StyleLibrary([folder]).find(path)
    assert path in str(error.value) and folder in str(error.value)


def test_relative_path_outside_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    for path in ("secret.png", "./secret.png", "styles/../secret.png"):
        with pytest.raises(StyleError, match="outside"):
            StyleLibrary([folder]).find(path)


def test_missing_folder_is_reported(tmp_path):
    path = str(tmp_path / "nowhere")
    with pytest.raises(StyleError, match="does not exist") as error:
        StyleLibrary([path])
    assert path in str(error.value)


@pytest.mark.parametrize("style", ["vangogh", "mine.png", "MINE", os.path.join(SHIPPED, "vangogh.jpg")])
def test_unknown_style_is_reported_with_the_known_ones(folder, style):
    with pytest.raises(StyleError, match="unknown style") as error:
        StyleLibrary([folder]).find(style)
    assert repr(style) in str(error.value)
    assert "mine" in str(error.value).split("known:")[1] and "mosaic" in str(error.value)


def test_style_that_is_not_a_picture_is_reported(folder):
    path = os.path.join(folder, "broken.jpg")
    with open(path, "w") as file:
        file.write("not a picture")
    with pytest.raises(ImageError, match="broken.jpg"):
        StyleLibrary([folder]).read("broken")


def test_a_folder_that_vanished_is_logged_once_and_hides_no_other_style(folder, caplog):
    library = StyleLibrary([folder])
    os.rename(folder, folder + "_moved")
    for _ in range(2):
        assert "mosaic" in library.paths() and "mine" not in library.paths()
        assert library.read("mosaic").any()
    with pytest.raises(StyleError, match="unknown style 'mine'"):
        library.find("mine")
    (record,) = caplog.records
    assert "cannot read the style folder '%s'" % folder in record.getMessage()


def test_names_that_no_message_can_hold_are_logged_once_and_left_out(folder, caplog):
    name = os.fsdecode(b"film\xe9")
    images.write(os.path.join(folder, name + ".png"), GREEN)
    library = StyleLibrary([folder])
    assert name not in library.paths() and name not in library.paths()
    assert all(library.random(np.random.default_rng(seed)) != name for seed in range(50))
    (record,) = caplog.records
    assert "its name is not UTF-8" in record.getMessage() and "film" in record.getMessage()
    record.getMessage().encode()  # it can be published


def test_masks_have_their_own_names(folder):
    labels = np.uint8([[0, 255]])
    for name in ("person.png", "mine.png"):
        path = os.path.join(folder, "masks", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Image.fromarray(labels).save(path)
    library = StyleLibrary([folder])
    assert "person" not in library.paths()
    for name in ("person.png", "person", "mine", os.path.join(folder, "masks", "person.png")):
        assert np.array_equal(library.read_mask(name), labels), name
    assert np.array_equal(library.read("mine"), GREEN)
    with pytest.raises(StyleError, match="unknown mask 'tree'; known: mine, person$"):
        library.find_mask("tree")
    with pytest.raises(StyleError, match="unknown mask 'tree'; known: none$"):
        StyleLibrary().find_mask("tree")
    with pytest.raises(StyleError, match="mask '../secret.png' is outside"):
        library.find_mask("../secret.png")


def test_a_mask_next_to_the_styles_is_found_too(folder):
    assert StyleLibrary([folder]).find_mask("mine.png") == os.path.join(os.path.realpath(folder), "mine.png")


def test_a_tilde_is_the_home_folder(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    library = StyleLibrary(["~/styles"])
    assert library.find("~/styles/mine.png") == library.find("mine")


@pytest.mark.parametrize(
    "text, known, names",
    [
        ("mosaic", (), ("mosaic",)),
        ("mosaic, chalk", (), ("mosaic", "chalk")),
        ("Klee, Senecio", {"Klee, Senecio"}, ("Klee, Senecio",)),
        ("mosaic,a,b,c,chalk", {"a,b", "a,b,c"}, ("mosaic", "a,b,c", "chalk")),
        ("a,b", {"a", "b"}, ("a", "b")),
        ("", (), ("",)),
    ],
)
def test_names_joined_by_commas_may_contain_commas(text, known, names):
    assert split_names(text, known) == names


@pytest.mark.parametrize("style", ["", "a\0b", "a" * 5000, "../" * 2000])
def test_invalid_style_names_are_refused(folder, style):
    with pytest.raises(StyleError):
        StyleLibrary([folder]).find(style)
