"""``python -m ros_style_transfer`` as a user calls it, from another folder.

What is wrong with a command line must be found before TensorFlow's import, which takes seconds: `refuse`
forbids it.  Only three of these runs are processes that import it; `call` is for those that share one import.
"""

import inspect
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from unittest import mock

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY, draw_scene
from PIL import Image

import ros_style_transfer
from ros_style_transfer.cli import common, gallery, inputs, job_runner
from ros_style_transfer.cli import main as cli
from ros_style_transfer.controls import CONTROLS, SETTINGS
from ros_style_transfer.media import images, video
from ros_style_transfer.media.style_library import StyleLibrary

RED, BLUE = (200, 40, 40), (30, 60, 190)
OFFERED = {name: control for name, control in CONTROLS.items() if not control.stream_only}
# Five levels, and no precision that depends on how busy this machine is.
CASCADE = ("--model", "cascade", "--precision", "float32")


@pytest.fixture
def paint(run):
    """``paint(arguments...)``: the finished process of ``python -m ros_style_transfer``."""
    return lambda *arguments: run("-m", "ros_style_transfer", *arguments)


@pytest.fixture
def call(tmp_path, monkeypatch, capfd):
    """``call(arguments...)``: the same in this process, in the folder ``tmp_path``."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = 0
        # What the command line sets is for its own process; other tests need the Keras that it does without.
        with mock.patch.dict(os.environ, TF_USE_LEGACY_KERAS="0"):
            try:
                cli.main([str(argument) for argument in arguments])
            except SystemExit as end:
                code = end.code
        written = capfd.readouterr()
        return SimpleNamespace(returncode=code, stdout=written.out, stderr=written.err)

    return call


@pytest.fixture
def refuse(call, monkeypatch):
    """``refuse(arguments, *culprits)``: exit code 1 and one line on stderr that names each culprit, without
    TensorFlow, and nothing was written."""
    monkeypatch.setitem(sys.modules, "ros_style_transfer.stylizer", None)  # an import fails

    def refuse(arguments, *culprits):
        before = contents_of(".")
        assert_refused(call(*(arguments.split() if isinstance(arguments, str) else arguments)), *culprits)
        assert contents_of(".") == before

    return refuse


def contents_of(folder):
    return sorted((where, *names) for where, _, names in os.walk(folder))


def assert_refused(process, *culprits):
    """Exit code 1 and one line on stderr that names each culprit."""
    assert process.returncode == 1, process.stderr
    assert process.stdout == ""
    lines = process.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("ros_style_transfer: "), process.stderr
    assert all(str(culprit) in lines[0] for culprit in culprits), lines[0]


def assert_done(process):
    assert process.returncode == 0, process.stderr
    assert process.stdout == ""


def lines_for_people(process):
    """What stderr says, without progress bars."""
    return [line for line in re.split("[\r\n]", process.stderr) if line.startswith("ros_style_transfer: ")]


def distance(rgb, colour):
    """How far the mean colour of a picture is from a colour, or from a picture's."""
    return np.linalg.norm(np.mean(rgb, (0, 1)) - (np.mean(colour, (0, 1)) if np.ndim(colour) > 1 else colour))


def flat(path, colour, width=64, height=64):
    """A picture of one colour: painted in it, everything is of about this colour."""
    images.write(str(path), np.full((height, width, 3), colour, np.uint8))
    return str(path)


def clip_of(path, frames, fps):
    with video.Writer(str(path), fps) as writer:
        for rgb in frames:
            writer.write(rgb)
    return str(path)


def frames_of(path):
    """A video's frames, and its frames a second."""
    with video.Reader(str(path)) as reader:
        return list(reader), reader.fps


# What is painted, in processes of their own


def visible(folder):
    """The names in a folder, except the hidden record of what was made."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def test_a_folder_is_painted_although_one_file_in_it_is_broken(paint, styles, tmp_path):
    folder = tmp_path / "süße Bilder"
    scene = draw_scene(101, 67)
    images.write(str(folder / "A.JPG"), scene)
    (folder / "b.png").write_text("no picture")
    alpha = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    cut = Image.fromarray(np.dstack([draw_scene(60, 40), alpha]))
    cut.save(str(folder / "c d.png"), icc_profile=b"broken")
    clip_of(folder / "film.mp4", [scene], 10)
    (folder / "more.jpg").mkdir()
    (folder / ".hidden").write_text("")
    process = paint(
        "stylize", *CASCADE, folder, "--style", "cubism", "--strength", "0.9", "--levels", "4,2,1", "-o", "new/out/"
    )
    assert process.returncode == 1 and process.stdout == ""
    said = lines_for_people(process)
    assert len(said) == 4, process.stderr
    assert "skipped in %s" % folder in said[0] and said[0].endswith(": film.mp4, more.jpg")
    assert "cannot read the picture %s" % (folder / "b.png") in said[1]
    assert "colour profile of %s" % (folder / "c d.png") in said[2]
    assert "1 of 3 failed" in said[3]
    assert "3/3" in process.stderr, "no progress"
    out = str(tmp_path / "elsewhere" / "new" / "out")  # a relative -o counts from where the user stands
    assert visible(out) == ["A.png", "c d.png"]
    painted = images.read(os.path.join(out, "A.png"))
    assert painted.shape == scene.shape
    assert distance(painted, styles["cubism"]) < distance(scene, styles["cubism"])
    assert np.array_equal(images.read_with_alpha(os.path.join(out, "c d.png"))[1], alpha)


def test_a_video_becomes_a_video(paint, tmp_path):
    shades = [np.clip(draw_scene(98, 64) * (0.2 + 0.06 * n), 0, 255).astype(np.uint8) for n in range(12)]
    clip = clip_of(tmp_path / "CLIP.MP4", shades, 12.5)
    process = paint(
        "stylize",
        *CASCADE,
        clip,
        "--style",
        "mosaic",
        "--strength",
        "0.4",
        "--levels",
        "2,1",
        "--smoothing",
        "0.4",
        "--frames",
        "9",
        "-o",
        "painted.avi",
    )
    assert_done(process)
    assert "painted.avi" in process.stderr and "9/9" in process.stderr
    painted, fps = frames_of(tmp_path / "elsewhere" / "painted.avi")
    assert len(painted) == 9 and fps == pytest.approx(12.5, abs=0.01)
    assert all(rgb.shape == (64, 98, 3) for rgb in painted)
    assert (np.diff([rgb.mean() for rgb in painted]) > 0).all(), "frames are not in their order"
    assert distance(painted[4], shades[4]) > 3, "nothing was painted"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_shorter_video(tmp_path, number):
    clip = clip_of(tmp_path / "clip.avi", [draw_scene(48, 32)] * 2000, 25)
    with open(str(tmp_path / "stderr"), "w+b") as stderr:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ros_style_transfer",
                "stylize",
                *CASCADE,
                clip,
                "--style",
                "mosaic",
                "-o",
                "out.mp4",
            ],
            cwd=str(tmp_path),
            env=dict(os.environ, PYTHONPATH=REPOSITORY),
            stdout=subprocess.PIPE,
            stderr=stderr,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # a job in the background ignores it
        deadline = time.monotonic() + 120
        while not re.search(rb"[1-9]/2000", read_all(stderr)) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        stdout, _ = process.communicate(timeout=60)
        said = read_all(stderr).decode()
    assert process.returncode == 130, said
    assert stdout == b"" and "Traceback" not in said
    painted, fps = frames_of(tmp_path / "out.mp4")
    assert 1 <= len(painted) < 2000 and fps == 25
    assert "stopped; out.mp4 contains the first %d frames" % len(painted) in said
    assert not [name for name in os.listdir(str(tmp_path)) if "partial" in name]


def read_all(file):
    file.seek(0)
    return file.read()


# What is painted, in this process


def test_size_concat_and_alpha(call, tmp_path):
    alpha = np.zeros((80, 120), np.uint8)
    alpha[:, 40:] = 255
    images.write("cut.png", draw_scene(120, 80), alpha)
    flat("red.png", RED, 30, 60)
    flat("blue.png", BLUE, 60, 60)
    style = ("--style", "red.png", "blue.png", "--levels", "2,1", "--size", "60")
    assert_done(call("stylize", *CASCADE, "cut.png", *style, "--concat", "-o", "beside.png"))
    rgb, kept = images.read_with_alpha("beside.png")
    # Two styles in a column as high as the result: 30x60 above 60x60, both w wide, give 2w + w = 40.
    assert rgb.shape == (40, 13 + 60, 3)
    assert distance(rgb[:25, :13], RED) < 2 and distance(rgb[28:, :13], BLUE) < 2
    assert (kept[:, :13] == 255).all(), "the styles are opaque"
    assert (kept[:, 13:30] == 0).all() and (kept[:, 36:] == 255).all()
    assert_done(call("stylize", *CASCADE, "cut.png", *style, "-o", "new/white.JPG"))
    rgb, kept = images.read_with_alpha("new/white.JPG")
    assert rgb.shape == (40, 60, 3) and kept is None
    assert rgb[:, :16].min() > 240 and rgb[:, 24:].mean() < 200


def test_a_turned_photograph_comes_out_upright_and_keeps_its_colours(call):
    scene = draw_scene(96, 64)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    Image.fromarray(np.rot90(scene)).save("turned.jpg", exif=exif, quality=95)
    assert_done(
        call("stylize", *CASCADE, "turned.jpg", "--style", "mosaic", "--keep-colours", "luminance", "-o", "out.png")
    )
    painted = images.read("out.png")
    assert painted.shape == scene.shape
    inside = painted[(painted.min(-1) > 0) & (painted.max(-1) < 255)]  # clipping changes chroma
    before = images.read("turned.jpg")[(painted.min(-1) > 0) & (painted.max(-1) < 255)]
    chroma = [cv2.cvtColor(pixels[None], cv2.COLOR_RGB2YCrCb)[0, :, 1:].astype(float) for pixels in (inside, before)]
    assert len(inside) > 1000 and np.abs(chroma[0] - chroma[1]).mean() < 4
    assert np.abs(inside.astype(float).mean(-1) - before.mean(-1)).mean() > 5, "nothing was painted"


def test_a_picture_that_is_too_large_for_the_allowed_memory_is_the_same_picture(paint, tmp_path):
    images.write(str(tmp_path / "large.png"), draw_scene(2400, 1600))
    whole, tiled = str(tmp_path / "whole.png"), str(tmp_path / "tiled.png")
    arguments = (
        "stylize",
        str(tmp_path / "large.png"),
        "--style",
        "mosaic",
        "--model",
        "lite",
        "--precision",
        "float32",
    )
    for output, limit in ((whole, []), (tiled, ["--max-memory", "850"])):
        process = paint(*arguments, "-o", output, *limit)
        assert process.returncode == 0, process.stderr
    apart = np.float64(images.read(whole)) - images.read(tiled)
    assert apart.any() and 10 * np.log10(255**2 / np.mean(apart**2)) > 50, "painted in tiles, and no seam is seen"
    refused = paint(*arguments, "-o", str(tmp_path / "none.png"), "--max-memory", "300")
    assert refused.returncode == 1 and "stylizing 2400x1600 with lite takes at least" in refused.stderr


def test_a_mask_says_which_style_paints_where(call):
    scene = draw_scene(120, 80)
    images.write("scene.png", scene)
    labels = np.zeros((160, 240), np.uint8)
    labels[:, 80:160], labels[:, 160:] = 2, 1
    Image.fromarray(labels).save("labels.png")
    arguments = ("stylize", *CASCADE, "scene.png", "--mask", "labels.png", "--feather", "0", "-o", "out.png")
    process = call(*arguments, "--style", flat("red.png", RED), flat("blue.png", BLUE), "chalk")
    assert_done(process)
    assert lines_for_people(process) == [
        "ros_style_transfer: the mask labels.png has no label 3, so the style chalk is not used"
    ]
    painted = images.read("out.png")
    assert np.array_equal(painted[:, :40], scene[:, :40]), "label 0 was touched"
    for part, colour in ((painted[:, 44:76], BLUE), (painted[:, 84:], RED)):
        assert distance(part, colour) < 50


def test_weights_share_out_the_styles(call):
    images.write("scene.png", draw_scene(96, 64))
    assert_done(
        call(
            "stylize",
            *CASCADE,
            "scene.png",
            "--style",
            flat("red.png", RED),
            flat("blue.png", BLUE),
            "--style-weights",
            "3",
            "1",
            "-o",
            "out.png",
        )
    )
    mixed = 0.75 * np.array(RED) + 0.25 * np.array(BLUE)
    assert distance(images.read("out.png"), mixed) < 30


@pytest.mark.slow
def test_a_seed_gives_the_same_texture_again(call):
    drawn = os.path.splitext(os.path.basename(common.find_styles(["random"], 7)[0]))[0]
    for name, style, seed in (("a.png", "random", 7), ("b.png", drawn, 7), ("c.png", drawn, 8)):
        process = call(
            "stylize",
            "--texture",
            "48x32",
            "--style",
            style,
            "--seed",
            seed,
            "--style-crop",
            "0.5",
            "--model",
            "live",
            "--precision",
            "float32",
            "-o",
            name,
        )
        assert_done(process)
        told = ["ros_style_transfer: styles: " + drawn] if style == "random" else []
        assert lines_for_people(process) == told
    first, again, other = (open(name, "rb").read() for name in ("a.png", "b.png", "c.png"))
    assert first == again != other
    assert images.read("a.png").shape == (32, 48, 3)


def test_random_styles_differ_while_there_are_enough():
    count = len(StyleLibrary().paths())
    assert len(set(common.find_styles(["random"] * count, 3))) == count
    assert len(common.find_styles(["random"] * (count + 1), 3)) == count + 1
    assert len({common.find_styles(["random"])[0] for _ in range(50)}) > 1, "random is another one each time"


def test_whitening_takes_no_style(call):
    images.write("scene.png", draw_scene(64, 48))
    assert_done(call("stylize", "scene.png", "--method", "whiten", "--model", "live", "-o", "out.png"))
    assert images.read("out.png").shape == (48, 64, 3)


def test_pairs_of_a_csv_are_painted_at_512(call, tmp_path, monkeypatch):
    folder = tmp_path / "list" / "pictures"
    for name, size in {"wide.png": (200, 80), "tall.png": (30, 60)}.items():
        images.write(str(folder / name), draw_scene(*size))
    flat(folder / "red.png", RED)
    flat(folder / "blue.png", BLUE)
    table = tmp_path / "list" / "PAIRS.CSV"
    # As a spreadsheet writes it, with a byte order mark and a column of its own.
    table.write_bytes(
        b"\xef\xbb\xbfcontent,style,remark\r\npictures/wide.png,pictures/red.png,\r\n"
        b"pictures/tall.png,pictures/blue.png,dull\r\n"
    )
    from ros_style_transfer.stylizer import Stylizer

    sizes, set_styles = [], Stylizer.set_styles
    monkeypatch.setattr(
        Stylizer,
        "set_styles",
        lambda self, pictures, *rest: (sizes.append(pictures[0].shape[:2]), set_styles(self, pictures, *rest)),
    )
    assert_done(call("stylize", *CASCADE, table, "--levels", "1", "-o", "out"))
    assert sizes == [(512, 512)] * 2, "both pictures of a pair are scaled"
    assert visible("out") == ["00.png", "01.png"]
    for name, size, colour in (("00.png", (512, 205), RED), ("01.png", (256, 512), BLUE)):
        painted = images.read(os.path.join("out", name))
        assert painted.shape[1::-1] == size
        assert distance(painted, colour) < 30


def test_the_styles_of_a_video_come_in_turn(call):
    clip = clip_of("clip.mp4", [draw_scene(64, 48)] * 24, 10)
    assert_done(
        call(
            "stylize",
            *CASCADE,
            clip,
            "--style",
            flat("red.png", RED),
            flat("blue.png", BLUE),
            "--cycle",
            "1",
            "--fade",
            "0.4",
            "--size",
            "32",
            "--concat",
            "--levels",
            "3,1",
            "-o",
            "out/",
        )
    )
    painted, fps = frames_of(os.path.join("out", "clip.mp4"))
    assert len(painted) == 24 and fps == 10 and painted[0].shape == (24, 32 + 12, 3)
    middle = 0.5 * np.array(RED) + 0.5 * np.array(BLUE)
    for number, colour in ((3, RED), (9, RED), (12, middle), (16, BLUE), (19, BLUE), (22, middle)):
        assert distance(painted[number][:, 12:], colour) < 35, number


class Webcam:
    """Stands for the `video.Reader` of a webcam that gives 8 frames a second."""

    fps, count, size, damaged = 8.0, None, (32, 32), 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __iter__(self):
        return iter([draw_scene(32, 32)] * 99)


def test_a_webcams_video_lasts_as_long_as_it_was_watched(call, monkeypatch):
    monkeypatch.setattr(video, "Reader", lambda source, real=video.Reader: Webcam() if source == "0" else real(source))
    with mock.patch.object(job_runner, "time") as clock:
        clock.monotonic.side_effect = [100 + 0.25 * n for n in range(20)]  # four frames a second are painted
        assert_done(
            call("stylize", *CASCADE, "0", "--style", "mosaic", "--levels", "1", "--frames", "5", "-o", "cam.avi")
        )
    painted, fps = frames_of("cam.avi")
    assert fps == 8 and len(painted) == 10


def test_a_picture_that_cannot_be_read_is_one_line(call, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    assert_refused(call("stylize", "notes.txt", "--style", "mosaic", "-o", "out.png"), "notes.txt")
    assert not os.path.exists("out.png")


def test_a_video_that_breaks_off_is_named(call):
    clip = clip_of("clip.avi", [draw_scene(96, 64, seed) for seed in range(20)], 10)
    with open(clip, "r+b") as file:
        file.truncate(os.path.getsize(clip) // 2)
    process = call("stylize", *CASCADE, clip, "--style", "mosaic", "--levels", "1", "-o", "out.mp4")
    painted, _ = frames_of("out.mp4")
    assert 5 < len(painted) < 15
    assert lines_for_people(process) == [
        "ros_style_transfer: only %d of 20 frames of clip.avi could be read; the file is cut off or damaged"
        % len(painted)
    ]


def test_damaged_frames_are_counted(call):
    clip = clip_of("clip.mp4", [draw_scene(96, 64, seed) for seed in range(30)], 10)
    data = bytearray(open(clip, "rb").read())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    with open(clip, "wb") as file:
        file.write(data)
    process = call("stylize", *CASCADE, clip, "--style", "mosaic", "--levels", "1", "-o", "out.mp4")
    assert len(frames_of("out.mp4")[0]) == 30
    (line,) = lines_for_people(process)
    assert re.search(r"clip.mp4 has \d+ damaged frames; each was replaced by the frame before it$", line)


def test_an_animation_becomes_a_video_or_its_first_frame(call):
    pictures = [Image.fromarray(np.full((48, 64, 3), shade, np.uint8)) for shade in (60, 120, 180)]
    pictures[0].save("moving.gif", save_all=True, append_images=pictures[1:], duration=100)
    arguments = ("stylize", *CASCADE, "moving.gif", "--style", "mosaic", "--levels", "1")
    process = call(*arguments, "--smoothing", "0.1", "-o", "out.mp4")
    assert_done(process)
    frames, fps = frames_of("out.mp4")
    assert (len(frames), fps) == (3, 10) and lines_for_people(process) == []
    process = call(*arguments, "-o", "out.png")
    assert_done(process)
    assert lines_for_people(process) == [
        "ros_style_transfer: only the first frame of the animation moving.gif is stylized; "
        "to stylize all, write a video: -o moving.mp4"
    ]


@pytest.mark.parametrize("name", [b"film\xe9.png", b"film\xe9.mp4"])
def test_names_that_are_not_utf_8(call, name):
    content, output = os.fsdecode(name), os.fsdecode(b"out/" + name)
    if name.endswith(b".mp4"):
        clip_of(content, [draw_scene(64, 48)] * 2, 118.437)
    else:
        images.write(content, draw_scene(64, 48))
    assert_done(call("stylize", *CASCADE, content, "--style", "mosaic", "--levels", "1", "-o", output))
    assert os.path.getsize(os.path.join(b"out", name)) > 1000


def test_a_table_may_name_included_styles(call, tmp_path):
    images.write("a.png", draw_scene(64, 48))
    (tmp_path / "pairs.csv").write_text("content,style\na.png,mosaic\n")
    assert inputs.read_pairs("pairs.csv") == [(str(tmp_path / "a.png"), StyleLibrary().paths()["mosaic"])]


# The gallery


@pytest.mark.slow
def test_the_gallery_is_one_sheet(call, monkeypatch):
    monkeypatch.setattr(gallery, "TILE", 64)
    images.write("scene.png", draw_scene(96, 72))
    shown = []
    monkeypatch.setattr(gallery, "sheet", lambda tiles, draw=gallery.sheet: shown.extend(tiles) or draw(tiles))
    process = call("gallery", *CASCADE, "scene.png", "--style", flat("red.png", RED), "-o", "sheets/sheet.png")
    assert_done(process)
    captions = [caption for caption, _ in shown]
    assert captions[:3] == ["content", "style A", "style B"] and len(set(captions)) == len(captions)
    told = " ".join(captions)
    assert all(name in told for name in set(OFFERED) - {"swap_level", "swap_patch", "feather", "smoothing"})
    assert all(word in told for word in ("weights", "mask", "texture"))
    rows = -(-len(shown) // gallery.COLUMNS)
    sheet = images.read("sheets/sheet.png")
    assert sheet.shape[0] == rows * (48 + gallery.CAPTION + gallery.GAP) + gallery.GAP
    assert sheet.shape[1] >= gallery.COLUMNS * (64 + gallery.GAP)


@pytest.mark.parametrize("width, height", [(100, 60), (20, 90)])
def test_a_sheet_clips_neither_pictures_nor_captions(width, height):
    captions = ["g", "a caption that is far wider than the picture", "third"]
    sizes = [(width, height), (300, 300), (5, 40)]
    tiles = [(caption, np.full((h, w, 3), RED, np.uint8)) for caption, (w, h) in zip(captions, sizes)]
    sheet = gallery.sheet(tiles, columns=2)
    assert (sheet[-1] == 255).all() and (sheet[:, -1] == 255).all(), "something runs over the edge"
    red = (sheet == RED).all(-1)
    fitted = [min(width / w, height / h) ** 2 * w * h for w, h in sizes]
    assert red.sum() == pytest.approx(sum(fitted), rel=0.1)
    cell_down, cell_across = (sheet.shape[0] - gallery.GAP) // 2, (sheet.shape[1] - gallery.GAP) // 2
    for n, caption in enumerate(captions):
        y, x = gallery.GAP + n // 2 * cell_down, gallery.GAP + n % 2 * cell_across
        cell = (sheet[y + height : y + cell_down, x : x + cell_across] < 128).all(-1)
        assert cell.any(), "no caption %r" % caption
        gap = cell[:, -gallery.GAP :].any(), cell[-2:].any()
        assert gap == (False, False), "the caption %r runs into the next tile" % caption


# What is listed


def test_styles_are_listed_with_their_files(paint):
    process = paint("styles")
    assert process.returncode == 0, process.stderr
    listed = dict(line.split(None, 1) for line in process.stdout.splitlines())
    assert sorted(listed) == sorted(StyleLibrary().paths())
    assert all(os.path.isfile(path) for path in listed.values())


@pytest.mark.slow
def test_a_reader_may_stop_early(tmp_path):
    done = subprocess.run(
        "%s -m ros_style_transfer styles | head -1" % sys.executable,
        shell=True,
        env=dict(os.environ, PYTHONPATH=REPOSITORY, PYTHONUNBUFFERED="1"),
        capture_output=True,
        text=True,
    )
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""


def test_a_closed_stdout_is_no_error(call, monkeypatch):
    class Closed:
        def write(self, _):
            raise BrokenPipeError

        flush = write

        def fileno(self):
            return os.open(os.devnull, os.O_WRONLY)

    monkeypatch.setattr(sys, "stdout", Closed())
    process = call("styles")
    assert (process.returncode, process.stderr) == (141, "")


def test_memory_that_runs_out_is_one_sentence(call, files, monkeypatch):
    class ResourceExhaustedError(Exception):
        """Stands for TensorFlow's."""

    for error in (MemoryError(), ResourceExhaustedError("OOM when allocating tensor\n[[node conv]]")):

        def read(*_, error=error):
            raise error

        monkeypatch.setattr(images, "read", read)
        process = call("render", "a.png", "--style", "b.jpg", "-o", "o.png")
        assert_refused(process, "not enough memory; make the picture smaller")


def test_the_version_is_shown(call):
    assert call("--version").stdout == "ros_style_transfer %s\n" % ros_style_transfer.__version__


def test_a_tilde_after_an_equals_sign_is_the_home_folder(refuse, files, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    refuse("stylize a.png -o o.png --style mosaic --weights-dir=~/folder", "%s/folder/manifest.json" % tmp_path)


def test_verbose_shows_the_traceback(call, files):
    process = call("stylize", "a.png", "--style", "gone.jpg", "-o", "o.png", "--verbose")
    assert process.returncode == 1
    assert "Traceback" in process.stderr and lines_for_people(process)[-1].endswith("no such picture: gone.jpg")


def test_help_names_every_option(paint):
    process = paint("stylize", "--help")
    assert process.returncode == 0 and process.stderr == ""
    assert "stylize CONTENT ... --style S ... -o OUT" in process.stdout, "CONTENT after --style would be a style"
    options = ["--" + name.replace("_", "-") for name in OFFERED]
    for option in options + [
        "CONTENT",
        "--output",
        "--style",
        "--style-weights",
        "--texture",
        "--seed",
        "--mask",
        "--size",
        "--concat",
        "--cycle",
        "--fade",
        "--frames",
        "--model",
        "--precision",
        "--weights-dir",
        "--max-memory",
        "--verbose",
    ]:
        assert re.search(r"(^|\s)%s\b" % option, process.stdout), option
    told = " ".join(process.stdout.split())
    assert all(" ".join(control.help.split()) in told for control in OFFERED.values())


# What is refused


@pytest.fixture
def files(tmp_path):
    """In ``tmp_path``: a.png, b.jpg, clip.mp4 (1.2 seconds), mask.png (labels 0 to 2), pairs.csv, folders."""
    images.write(str(tmp_path / "a.png"), draw_scene(64, 48))
    images.write(str(tmp_path / "b.jpg"), draw_scene(64, 48))
    images.write(str(tmp_path / "folder" / "a.tif"), draw_scene(64, 48))
    clip_of(tmp_path / "clip.mp4", [draw_scene(64, 48)] * 12, 10)
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken.png").mkdir()
    Image.fromarray(np.tile(np.uint8([0, 1, 2]).repeat(20), (45, 1))).save(str(tmp_path / "mask.png"))
    (tmp_path / "pairs.csv").write_text("content,style\na.png,b.jpg\n")
    (tmp_path / "misspelt.csv").write_text("content,style\na.png,mosiac\n")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "gone.csv").write_text("content,style\na.png,b.jpg\na.png,gone.jpg\n")


def test_a_process_that_refuses_says_one_line(paint, tmp_path):
    damaged = tmp_path / "damaged.mp4"
    damaged.write_text("no video")  # of which FFmpeg would have something to say, too
    assert_refused(paint("stylize", damaged, "--style", "mosaic", "-o", "o.mp4"), "cannot read the video %s" % damaged)
    assert_refused(paint("stylise"), "'stylise'", "stylize", "--help")
    assert os.listdir(str(tmp_path / "elsewhere")) == []


@pytest.mark.parametrize(
    "arguments, culprits",
    [
        # What argparse finds
        ("", ["COMMAND"]),
        ("stylize a.png --style mosaic", ["-o/--output"]),
        ("stylize a.png --style mosaic -o o.png --size big", ["--size", "'big'"]),
        ("stylize a.png --style mosaic -o o.png --style-weights 0.7,0.3", ["--style-weights", "'0.7,0.3'"]),
        ("stylize a.png --style mosaic -o o.png --paint", ["unknown option --paint", "stylize --help"]),
        ("stylize a.png --style mosaic -o o.png --strenght=0.5", ["--strenght (did you mean --strength?)"]),
        ("stylize a.png --style mosiac -o o.png", ["unknown style 'mosiac' (did you mean mosaic?)"]),
        # Which pictures and styles
        ("stylize --style mosaic a.png -o o.png", ["CONTENT goes before --style"]),
        ("stylize -o o.png --style mosaic", ["CONTENT", "--texture"]),
        ("stylize a.png -o o.png", ["--style"]),
        ("stylize a.png -o o.png --style vangogh", ["unknown style 'vangogh'", "mosaic"]),
        ("stylize a.png -o o.png --style nowhere/style.jpg", ["no such picture: nowhere/style.jpg"]),
        ("stylize a.png -o o.png --style gone.jpg", ["no such picture: gone.jpg"]),
        ("stylize a.png -o o.png --style folder", ["no such picture: folder"]),
        ("stylize a.png -o o.png --style mosaic pairs.csv", ["pairs.csv"]),
        ("stylize a.png gone.png -o out --style mosaic", ["no such picture: gone.png"]),
        ("stylize gone/ -o out --style mosaic", ["no such picture: gone/"]),
        ("stylize empty -o out --style mosaic", ["no pictures in the folder empty"]),
        ("stylize gone.mp4 -o out.mp4 --style mosaic", ["no such video: gone.mp4"]),
        ("stylize 987 -o out.mp4 --style mosaic", ["no webcam 987", "/dev/video987"]),
        # What is written where
        ("stylize a.png -o o --style mosaic", ["o: the name must end in one of .jpg"]),
        ("stylize a.png -o o.mp4 --style mosaic", ["o.mp4: the name must end in one of .jpg"]),
        (
            "stylize notes.txt -o o.png --style mosaic",
            ["the picture notes.txt: it is in none of the formats"],
        ),
        ("stylize a.png -o %s.png --style mosaic" % ("o" * 300), ["the name has more than 240 bytes"]),
        ("stylize a.png -o .png --style mosaic", ["cannot write .png: the name must end", "something before it"]),
        ("stylize clip.mp4 -o .mp4 --style mosaic", ["cannot write .mp4: the name of a video", "something before it"]),
        ("render a.png -o .png --style mosaic", ["cannot write .png"]),
        ("stylize in.bag -o out.mp4 --style mosaic", ["ROS bag", "stylize_bag in.bag"]),
        ("stylize clip.mp4 -o o.png --style mosaic", ["o.png: the name of a video must end in one of .mp4"]),
        ("stylize a.png b.jpg -o o.png --style mosaic", ["need a folder", "o.png"]),
        ("stylize folder -o o.png --style mosaic", ["need a folder", "o.png"]),
        ("stylize pairs.csv -o o.png", ["need a folder", "o.png"]),
        ("stylize folder -o a.png --style mosaic", ["need a folder", "a.png"]),
        ("stylize folder -o pairs.csv --style mosaic", ["pairs.csv is not a folder"]),
        ("stylize a.png -o b.jpg/o.png --style mosaic", ["b.jpg/o.png", "not a folder"]),
        ("stylize --texture 8x8 -o taken.png --style mosaic", ["taken.png: it is a folder"]),
        ("stylize a.png -o a.png --style mosaic", ["overwrite", "a.png"]),
        ("stylize a.png -o . --style mosaic", ["overwrite", "a.png"]),
        ("stylize a.png -o b.jpg --style b.jpg", ["overwrite", "b.jpg"]),
        ("stylize a.png -o ./mask.png --style mosaic --mask mask.png", ["overwrite", "mask.png"]),
        ("stylize folder a.png -o . --style mosaic", ["overwrite", "a.png"]),
        ("stylize a.png folder -o out --style mosaic", ["same name", "folder/a.tif", "out/a.png"]),
        # Tables
        ("stylize pairs.csv a.png -o out", [".csv", "CONTENT"]),
        ("stylize a.png pairs.csv -o out", [".csv", "CONTENT"]),
        ("stylize pairs.csv -o out --style mosaic cubism", ["--style", ".csv"]),
        ("stylize pairs.csv -o out --style-weights 1", ["--style-weights", ".csv"]),
        ("stylize pairs.csv -o out --texture 8x8", ["--texture", ".csv"]),
        ("stylize pairs.csv -o out --seed 1", ["--seed"]),
        ("stylize gone.csv -o out", ["no such picture", "gone.jpg"]),
        ("stylize misspelt.csv -o out", ["misspelt.csv: unknown style 'mosiac' (did you mean mosaic?)"]),
        # Textures
        ("stylize a.png --texture 8x8 -o o.png --style mosaic", ["CONTENT", "--texture"]),
        ("stylize --texture 8x8 -o o.png", ["--style"]),
        ("stylize --texture 8x8 -o o.png --method whiten", ["--style"]),
        ("stylize --texture 64 -o o.png --style mosaic", ["--texture", "512x512", "'64'"]),
        ("stylize --texture 0x9 -o o.png --style mosaic", ["--texture", "0"]),
        ("stylize --texture 99999x9 -o o.png --style mosaic", ["--texture", "99999", "16384"]),
        ("stylize --texture 8x8 -o o.png --style mosaic --seed -1", ["--seed", "-1"]),
        ("stylize --texture 8x8 -o o.png --style mosaic --size 64", ["--size", "texture"]),
        ("stylize --texture 8x8 -o o.png --style mosaic --mask mask.png", ["--mask", "texture"]),
        ("stylize --texture 8x8 -o o.png --style mosaic --keep-colours coral", ["--keep-colours", "texture"]),
        # Videos
        ("stylize clip.mp4 -o o.mp4 --style mosaic --cycle 1", ["--cycle needs several styles"]),
        ("stylize clip.mp4 -o o.mp4 --style mosaic cubism --cycle 0", ["--cycle", "0.1"]),
        ("stylize clip.mp4 -o o.mp4 --style mosaic cubism --cycle nan", ["--cycle", "nan"]),
        ("stylize clip.mp4 -o o.mp4 --style mosaic cubism --cycle 1.2", ["--cycle 1.2", "clip.mp4", "1.2 seconds"]),
        ("stylize clip.mp4 -o o.mp4 --style mosaic cubism --cycle 1 --frames 9", ["--cycle 1", "0.9 seconds"]),
        ("stylize clip.mp4 -o o.mp4 --style mosaic cubism --cycle 1 --fade 2", ["--fade", "2"]),
        (
            "stylize clip.mp4 -o o.mp4 --style mosaic cubism --cycle 1 --style-weights 1 1",
            ["--style-weights", "--cycle"],
        ),
        ("stylize clip.mp4 -o o.mp4 --style mosaic cubism --cycle 1 --mask mask.png", ["--mask", "--cycle"]),
        ("stylize clip.mp4 a.png -o out --style mosaic cubism --cycle 1", ["--cycle", "pictures"]),
        ("stylize clip.mp4 -o o.mp4 --style mosaic cubism --fade 1", ["--fade needs --cycle"]),
        ("stylize clip.mp4 -o o.mp4 --style mosaic --frames 0", ["--frames", "0"]),
        ("stylize clip.mp4 -o clip.mp4 --style mosaic", ["overwrite", "clip.mp4"]),
        ("stylize a.png -o o.png --style mosaic cubism --cycle 1", ["--cycle", "videos"]),
        ("stylize a.png -o o.png --style mosaic --smoothing 0.5", ["--smoothing", "videos"]),
        ("stylize a.png -o o.png --style mosaic --frames 5", ["--frames", "videos"]),
        # Several styles, masks
        ("stylize a.png -o o.png --style mosaic --style-weights 1", ["--style-weights needs several styles"]),
        ("stylize a.png -o o.png --style mosaic cubism --style-weights 1", ["1 weights for 2 styles"]),
        ("stylize a.png -o o.png --style mosaic cubism --style-weights 1 -1", ["weights", "-1"]),
        ("stylize a.png -o o.png --style mosaic cubism --style-weights 1 1 --mask mask.png", ["weights", "mask"]),
        ("stylize a.png -o o.png --style mosaic --mask gone.png", ["no such mask: gone.png"]),
        (
            "stylize a.png -o o.png --style mosaic --mask b.jpg",
            ["the mask b.jpg: a mask must be black and white, grey, or"],
        ),
        ("stylize a.png -o o.png --style mosaic --mask mask.png", ["the mask holds the label 2"]),
        ("stylize a.png -o o.png --style mosaic --feather 2", ["--feather", "--mask"]),
        # Controls
        ("stylize a.png -o o.png --style mosaic --model cascade --levels 9", ["9", "5,4,3,2,1"]),
        ("stylize a.png -o o.png --style mosaic --levels one", ["'one'"]),
        ("stylize a.png -o o.png --style mosaic --strength 1.5", ["strength", "0 to 1", "1.5"]),
        ("stylize a.png -o o.png --style mosaic --strength much", ["strength", "'much'"]),
        (
            "stylize a.png -o o.png --style mosaic --model cascade --levels 2,1 --level-strength 4:0.5",
            ["--level-strength", "4", "2,1"],
        ),
        ("stylize a.png -o o.png --style mosaic --swap-patch 5", ["--swap-patch needs --swap"]),
        ("stylize a.png -o o.png --style mosaic --swap 0 --swap-level 2", ["--swap-level needs --swap"]),
        ("stylize a.png -o o.png --style mosaic --swap-stride 2", ["--swap-stride needs --swap"]),
        ("stylize a.png -o o.png --style mosaic --seed 1", ["--seed", "--texture", "random"]),
        ("stylize a.png -o o.png --style mosaic --size 15", ["--size", "15", "16"]),
        ("stylize a.png -o o.png --style mosaic --precision int4", ["'int4'", "bfloat16"]),
        ("stylize a.png -o o.png --style mosaic --model cascade --precision int8", ["int8", "live and lite"]),
        ("benchmark live --model cascade --precision int8", ["int8", "live and lite"]),
        ("export -o empty --precision int8", ["precision", "float16"]),
        ("stylize a.png -o o.png --style mosaic --model gatys", ["'gatys'", "cascade"]),
        ("stylize a.png -o o.png --style mosaic --max-memory -1", ["--max-memory", "-1"]),
        ("gallery a.png -o o.png --max-memory nan", ["--max-memory", "nan"]),
        ("export -o empty --model gatys", ["'gatys'", "lite"]),
        ("export -o empty --precision auto", ["precision", "float16"]),
        ("benchmark live --model gatys", ["'gatys'", "lite"]),
        ("benchmark image --side 8", ["side", "32"]),
        ("stylize a.png -o o.png --style mosaic --weights-dir folder", ["folder/manifest.json"]),
        ("stylize a.png -o o.png --method whiten --style mosaic", ["--style", "whiten"]),
        ("stylize a.png -o o.png --method whiten --mask mask.png", ["--mask", "whiten"]),
        ("stylize a.png -o o.png --method whiten --concat", ["--concat", "whiten"]),
        ("stylize a.png -o o.png --method whiten --style-scale 0.5", ["--style-scale", "whiten"]),
        ("stylize a.png -o o.png --method whiten --keep-colours coral", ["coral", "whiten"]),
        # The gallery
        ("gallery a.png -o o.png --style mosaic cubism chalk", ["two styles", "3"]),
        ("gallery gone.png -o o.png", ["no such picture: gone.png"]),
        ("gallery clip.mp4 -o o.png", ["cannot read the picture clip.mp4"]),
        ("gallery a.png -o o.mp4", ["o.mp4"]),
        ("gallery a.png -o a.png", ["overwrite", "a.png"]),
        ("gallery a.png -o b.jpg", ["b.jpg exists already", "--overwrite"]),
        ("render a.png -o b.jpg --style mosaic", ["b.jpg exists already", "--overwrite"]),
        ("gallery a.png -o o.png --model gatys", ["'gatys'"]),
    ],
)
def test_invalid_command_lines_are_refused(refuse, files, arguments, culprits):
    refuse(arguments, *culprits)


@pytest.mark.parametrize(
    "text, culprit",
    [
        (b"a,b\nx.jpg,y.jpg\n", "no column 'content'"),
        (b"content\nx.jpg\n", "no column 'style'"),
        (b"content,style\nx.jpg\n", "content,style"),
        (b"", "no rows"),
        (b"content,style\n", "no rows"),
        (b"\xff\xfe\x00\x01", "content,style"),
        (None, "No such file"),
    ],
    ids=["other columns", "one column", "short row", "empty", "no rows", "binary", "missing"],
)
def test_a_table_without_pairs_is_named(refuse, tmp_path, text, culprit):
    if text is not None:
        (tmp_path / "pairs.csv").write_bytes(text)
    refuse("stylize pairs.csv -o out", "pairs.csv", culprit)


# Other names of options


def test_old_names_of_options_work_with_a_notice(call, files):
    process = call(
        "stylize",
        "a.png",
        "--style",
        "mosaic",
        "woodcut",
        "--model",
        "lite",
        "--dtype=float32",
        "--weights",
        "3",
        "1",
        "--keep-colors",
        "luminance",
        "-o",
        "old.png",
    )
    assert_done(process)
    assert lines_for_people(process) == [
        "ros_style_transfer: --dtype is deprecated; use --precision",
        "ros_style_transfer: --weights is deprecated; use --style-weights",
    ]
    process = call(
        "stylize",
        "a.png",
        "--style",
        "mosaic",
        "woodcut",
        "--model",
        "lite",
        "--precision",
        "float32",
        "--style-weights",
        "3",
        "1",
        "--keep-colours",
        "luminance",
        "-o",
        "new.png",
    )
    assert_done(process)
    assert lines_for_people(process) == []
    assert np.array_equal(images.read("old.png"), images.read("new.png"))


def test_every_program_starts_from_the_same_model_and_precision():
    parser = cli.parser()
    arguments = [
        parser.parse_args(words.split())
        for words in ("stylize a.png -o o.png", "gallery a.png -o o.png", "benchmark ros")
    ]
    assert [(args.model, args.precision) for args in arguments] == [
        ("live", "auto"),
        ("live", "auto"),
        (["live"], ["auto"]),
    ]
    exported = parser.parse_args(["export", "-o", "out"])
    assert (exported.model, exported.precision) == ("live", "float32")  # `auto` would measure the wrong machine
    from ros_style_transfer.stylizer import Stylizer

    defaults = inspect.signature(Stylizer).parameters
    assert {name: defaults[name].default for name in SETTINGS if name != "weights_dir"} == {
        name: setting.default for name, setting in SETTINGS.items() if name != "weights_dir"
    }
