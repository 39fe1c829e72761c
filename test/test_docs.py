"""The documentation: links, tables that repeat what the code says, and examples that run."""

import glob
import os
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from ros_style_transfer.cli import main as cli
from ros_style_transfer.controls import MODELS, Controls
from ros_style_transfer.media.style_library import StyleLibrary

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
PAGES = sorted(
    os.path.relpath(path, ROOT)
    for pattern in ("*.md", "doc/*.md", "weights/*.md", ".github/*/*.md")
    for path in glob.glob(os.path.join(ROOT, pattern))
)


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        return file.read()


def anchors(page):
    """The anchors of a page's headings, as Markdown viewers make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", read(page), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = read(page)
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", text):
        path = os.path.normpath(os.path.join(os.path.dirname(page), target)) if target else page
        assert os.path.exists(os.path.join(ROOT, path)), target
        assert not anchor or anchor in anchors(path), "%s#%s" % (target, anchor)
    assert not re.findall(r"@[A-Z]+@", text), "a figure is missing"


def test_the_readme_is_short_and_leads_to_every_page():
    lines = read("README.md").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 120
    for page in PAGES:
        if page.startswith("doc" + os.sep):
            assert "(%s)" % page in read("README.md"), page


def test_the_readme_compares_all_models():
    rows = re.findall(r"^\| `(\w+)` \|", read("README.md"), re.M)
    assert sorted(rows) == sorted(MODELS)


def test_the_page_of_controls_names_every_control_with_its_default():
    rows = dict(re.findall(r"^\| `~(\w+)` \| (?:`(.*?)`|[^|]*) \|", read("doc/controls.md"), re.M))
    assert rows == {name: str(value) if value or value == 0 else "" for name, value in Controls()._asdict().items()}


def test_the_page_of_the_command_line_names_every_command():
    rows = re.findall(r"^\| `(\w+)` \|", read("doc/cli.md"), re.M)
    (commands,) = [action.choices for action in cli.parser()._actions if action.dest == "command"]
    assert sorted(rows) == sorted(commands)


def test_the_page_of_the_node_names_every_included_style():
    text = read("doc/node.md")
    for name in StyleLibrary().paths():
        assert "`%s`" % name in text


@pytest.mark.parametrize(
    "page", ["README.md", "doc/cli.md", "doc/controls.md", "doc/performance.md", "doc/render.md", "doc/jetson.md"]
)
def test_documented_commands_parse(page):
    commands = re.findall(
        r"^(?:\./bootstrap\.sh run )?(?:ros-style-transfer|python -m ros_style_transfer) (.*)$", read(page), re.M
    )
    assert commands
    for command in commands:
        cli.parser().parse_args(shlex.split(command, comments=True))


def test_the_architecture_page_names_the_folders_and_files_that_exist():
    text, package = read("doc/architecture.md"), os.path.join(ROOT, "ros_style_transfer")
    folders = {name for name in os.listdir(package) if os.path.isdir(os.path.join(package, name))} - {"__pycache__"}
    assert {name.rstrip("/") for name in re.findall(r"^\| `(\w+/)` \|", text, re.M)} == folders
    for file in re.findall(r"`((?:\w+/)*\w+\.py)`", text):
        assert os.path.exists(os.path.join(ROOT if file.startswith("test/") else package, file)), file


# --- examples in Python ---------------------------------------------------------------------------


def python_blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", read(page), re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch, scene):
    """A folder with the files that the examples read."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(scene).save("photo.jpg")
    Image.fromarray(np.uint8(scene[..., 0] > 128) + np.uint8(1)).save("labels.png")
    return tmp_path


def test_the_readmes_example_stylizes_a_photograph(folder):
    (example,) = python_blocks("README.md")
    assert len(example.splitlines()) <= 8
    exec(compile(example, "README.md", "exec"), {})
    result = np.asarray(Image.open("painted.png"))
    before = np.asarray(Image.open("photo.jpg"))
    assert result.shape == before.shape
    assert np.abs(result.astype(float) - before).mean() > 10


@pytest.mark.slow
def test_every_example_of_the_python_page_runs(folder):
    blocks = python_blocks("doc/python.md")
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        exec(compile(block, "doc/python.md", "exec"), names)
    assert {"painted.png", "rendered.png"} <= set(os.listdir(str(folder)))
