"""``python -m ros_style_transfer`` as a user calls it, from another folder.

Only four of these runs import TensorFlow, which takes seconds: what is wrong with a command line
must be found before.
"""
import os

import numpy as np
import pytest
from conftest import draw_scene
from PIL import Image

from ros_style_transfer import images
from ros_style_transfer.style_library import StyleLibrary


@pytest.fixture
def paint(run):
    """``paint(arguments...)``: the finished process of ``python -m ros_style_transfer``."""
    return lambda *arguments: run("-m", "ros_style_transfer", *arguments)


def assert_refused(process, *culprits):
    """Exit code 1 and one line on stderr that names each culprit."""
    assert process.returncode == 1, process.stderr
    lines = process.stderr.splitlines()
    assert len(lines) == 1, process.stderr
    assert all(str(culprit) in lines[0] for culprit in culprits), lines[0]


def distance(rgb, style):
    """How far the mean colours of two pictures are apart."""
    return np.linalg.norm(rgb.mean((0, 1)) - style.mean((0, 1)))


def test_one_picture_is_painted_at_its_own_size(paint, styles, tmp_path):
    content = str(tmp_path / "content.jpg")
    images.write(content, draw_scene(101, 67))
    output = str(tmp_path / "new" / "folder" / "painted.png")
    process = paint("stylize", content, "--style", "cubism", "--strength", "0.9", "--levels", "4,2,1", "-o", output)
    assert process.returncode == 0, process.stderr
    painted = images.read(output)
    assert painted.shape == (67, 101, 3)
    assert distance(painted, styles["cubism"]) < distance(images.read(content), styles["cubism"])


def test_several_pictures_go_to_a_folder_in_a_style_of_the_users_own(paint, tmp_path):
    names = {"first.png": (64, 48), "second.jpg": (50, 90)}
    for name, size in names.items():
        images.write(str(tmp_path / name), draw_scene(*size))
    images.write(str(tmp_path / "own.png"), np.full((40, 40, 3), (20, 90, 180), np.uint8))
    # A relative output counts from where the user stands.
    process = paint("stylize", *[tmp_path / name for name in names], "--style", tmp_path / "own.png", "-o", "out")
    assert process.returncode == 0, process.stderr
    out = str(tmp_path / "elsewhere" / "out")
    assert sorted(os.listdir(out)) == ["first.png", "second.png"]
    for name, (width, height) in names.items():
        painted = images.read(os.path.join(out, os.path.splitext(name)[0] + ".png"))
        assert painted.shape == (height, width, 3)
        assert np.abs(painted.mean((0, 1)) - (20, 90, 180)).max() < 32


def test_pairs_of_a_csv_are_painted_at_512(paint, tmp_path):
    for name, size in {"wide.png": (200, 80), "tall.png": (30, 60), "style.png": (64, 64)}.items():
        images.write(str(tmp_path / "list" / "pictures" / name), draw_scene(*size))
    table = tmp_path / "list" / "pairs.csv"
    table.write_text("content,style\npictures/wide.png,pictures/style.png\npictures/tall.png,pictures/style.png\n")
    out = str(tmp_path / "out")
    process = paint("stylize", table, "-o", out)
    assert process.returncode == 0, process.stderr
    assert sorted(os.listdir(out)) == ["00.png", "01.png"]
    for name, size in {"00.png": (512, 205), "01.png": (256, 512)}.items():
        with Image.open(os.path.join(out, name)) as image:
            assert image.size == size


def test_missing_picture_is_one_line_on_stderr(paint, tmp_path):
    missing = tmp_path / "nowhere.jpg"
    assert_refused(paint("stylize", missing, "--style", "mosaic", "-o", tmp_path / "o.png"), "no such picture", missing)
    assert not (tmp_path / "o.png").exists()


@pytest.mark.parametrize("arguments, culprits", [
    (["--style", "vangogh"], ["unknown style 'vangogh'", "mosaic"]),
    (["--style", "/nowhere/style.jpg"], ["/nowhere/style.jpg"]),
    ([], ["--style"]),
    (["--style", "mosaic", "--levels", "9"], ["9", "5,4,3,2,1"]),
    (["--style", "mosaic", "--levels", "one"], ["'one'", "5,4,3,2,1"]),
    (["--style", "mosaic", "--strength", "1.5"], ["strength", "1.5"]),
    (["--style", "mosaic", "--dtype", "int8"], ["'int8'", "bfloat16"]),
    (["--style", "mosaic", "--model", "gatys"], ["'gatys'", "cascade"])],
    ids=lambda value: "_".join(value) if isinstance(value, list) and value and value[0].startswith("--") else None)
def test_wrong_arguments_are_one_line_on_stderr(paint, scene_file, tmp_path, arguments, culprits):
    assert_refused(paint("stylize", scene_file, "-o", tmp_path / "o.png", *arguments), *culprits)
    assert not (tmp_path / "o.png").exists()


@pytest.mark.parametrize("text", [
    b"a,b\nx.jpg,y.jpg\n", b"content,style\nx.jpg\n", b"", b"a,b\n", b"\xff\xfe\x00\x01", None],
    ids=["other columns", "short row", "empty", "other columns and no rows", "binary", "missing"])
def test_table_without_pairs_is_one_line_on_stderr(paint, tmp_path, text):
    table = tmp_path / "pairs.csv"
    if text is not None:
        table.write_bytes(text)
    assert_refused(paint("stylize", table, "-o", tmp_path / "out"), table)


def test_table_and_style_together_are_refused(paint, tmp_path):
    assert_refused(paint("stylize", "pairs.csv", "--style", "mosaic", "-o", tmp_path / "out"), ".csv", "--style")


def test_pictures_that_would_overwrite_each_other_are_refused(paint, tmp_path, scene_file):
    twin = tmp_path / "twin" / os.path.basename(scene_file)
    images.write(str(twin), draw_scene(32, 32))
    assert_refused(paint("stylize", scene_file, twin, "--style", "mosaic", "-o", tmp_path / "out"), "same name", "out")


def test_styles_are_listed_with_their_files(paint):
    process = paint("styles")
    assert process.returncode == 0, process.stderr
    listed = dict(line.split(None, 1) for line in process.stdout.splitlines())
    assert sorted(listed) == sorted(StyleLibrary().paths())
    assert all(os.path.isfile(path) for path in listed.values())


def test_help_names_every_option(paint):
    process = paint("stylize", "--help")
    assert process.returncode == 0
    assert all(option in process.stdout for option in (
        "--style", "--output", "--strength", "--levels", "--model", "--dtype", "CONTENT"))
