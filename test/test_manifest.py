"""Which results are skipped, refused and made again; the same rules for every command."""

import os

import pytest
from conftest import draw_scene

from ros_style_transfer.cli import main as cli
from ros_style_transfer.cli.manifest import FILE, Manifest, Result
from ros_style_transfer.errors import OptionError
from ros_style_transfer.media import images

OPTIONS = {"strength": 1.0, "levels": [2, 1]}


@pytest.fixture
def result(tmp_path):
    content = tmp_path / "content.png"
    content.write_text("content")
    return Result(str(tmp_path / "out" / "a.png"), [str(content)])


def write(result, text="painted"):
    os.makedirs(os.path.dirname(result.output), exist_ok=True)
    with open(result.output, "w") as file:
        file.write(text)


def manifest(result, **options):
    return Manifest(os.path.dirname(result.output), dict(OPTIONS, **options))


def make(result, choice=None, **options):
    record = manifest(result, **options)
    record.begin([result], choice)
    write(result)
    record.add(result, choice)


def test_a_recorded_result_is_skipped(result):
    assert manifest(result).remaining([result]) == [True]
    make(result, "int8")
    assert manifest(result).remaining([result]) == [False]
    assert manifest(result).choice == "int8"


def test_a_result_of_unknown_origin_is_refused_replaced_or_kept(result):
    write(result)
    with pytest.raises(OptionError, match="a.png exists already; --overwrite replaces it, --skip-existing keeps it"):
        manifest(result).remaining([result])
    assert manifest(result).remaining([result], overwrite=True) == [True]
    assert manifest(result).remaining([result], skip_existing=True) == [False]


def test_a_result_that_someone_has_changed_is_refused(result):
    make(result)
    write(result, "edited by hand")
    with pytest.raises(OptionError, match="exists already"):
        manifest(result).remaining([result])


def test_other_options_are_named_and_refused(result):
    make(result)
    with pytest.raises(OptionError, match="made with another --strength;"):
        manifest(result, strength=0.5).remaining([result])
    assert manifest(result, strength=0.5).choice is None
    assert manifest(result, strength=0.5).remaining([result], overwrite=True) == [True]


def test_overwriting_is_continued_after_a_kill(result):
    make(result)
    make(result, strength=0.5)
    assert manifest(result, strength=0.5).remaining([result], overwrite=True) == [False]
    assert manifest(result, strength=0.5).remaining([result]) == [False]


def test_a_result_of_a_changed_input_is_made_again(result):
    make(result)
    with open(result.inputs[0], "w") as file:
        file.write("another content")
    assert manifest(result).remaining([result]) == [True]


def test_what_a_kill_left_unrecorded_is_made_again(result):
    manifest(result).begin([result])
    write(result)
    assert manifest(result).remaining([result]) == [True]


def test_a_line_that_a_kill_cut_off_costs_only_itself(result):
    make(result)
    path = os.path.join(os.path.dirname(result.output), FILE)
    with open(path, "a") as file:
        file.write('{"output": "b.p')
    other = Result(result.output.replace("a.png", "c.png"), result.inputs)
    make(other)
    assert manifest(result).remaining([result, other]) == [False, False]


def test_the_command_refuses_what_exists(tmp_path, capsys):
    """Before TensorFlow is imported, and for a single file as well as in a folder."""
    content, output = str(tmp_path / "content.png"), tmp_path / "out.png"
    images.write(content, draw_scene(64, 48))
    output.write_text("precious")
    arguments = ["stylize", content, "--style", "mosaic", "-o", str(output)]
    with pytest.raises(SystemExit):
        cli.main(arguments)
    assert "out.png exists already; --overwrite" in capsys.readouterr().err
    cli.main([*arguments, "--skip-existing"])
    assert output.read_text() == "precious"
