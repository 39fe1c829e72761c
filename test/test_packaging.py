"""The package as pip installs it: the public names, the version, the command and its files."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import xml.etree.ElementTree
import zipfile

import pytest

import ros_style_transfer

PUBLIC = {
    "Controls": "ros_style_transfer.controls",
    "RenderOptions": "ros_style_transfer.render.options",
    "Renderer": "ros_style_transfer.render.renderer",
    "StyleLibrary": "ros_style_transfer.media.style_library",
    "Stylizer": "ros_style_transfer.stylizer",
}


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


# --- the public names -----------------------------------------------------------------------------


def test_importing_the_package_imports_neither_numpy_nor_tensorflow(run):
    done = run(
        "-c",
        "import sys, ros_style_transfer as r; dir(r); r.__version__\n"
        "print(sorted({'numpy', 'cv2', 'tensorflow', 'rospy'} & set(sys.modules)))\n"
        "r.Controls, r.StyleLibrary, r.RenderOptions\n"
        "print('tensorflow' in sys.modules)",
    )
    assert done.stdout.split("\n")[:2] == ["[]", "False"], done.stderr


def test_the_public_names_are_the_modules_own():
    for name, module in PUBLIC.items():
        assert getattr(ros_style_transfer, name) is getattr(sys.modules[module], name)
    assert ros_style_transfer.render is sys.modules["ros_style_transfer.render"]
    assert set(ros_style_transfer.__all__) == {*PUBLIC, "render"} <= set(dir(ros_style_transfer))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'TransferPipeline'"):
        ros_style_transfer.TransferPipeline  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'TransferPipeline'"):
        from ros_style_transfer import TransferPipeline  # noqa: F401


# --- the version ----------------------------------------------------------------------------------


def test_every_file_names_the_same_version(repository):
    package = xml.etree.ElementTree.parse(os.path.join(repository, "package.xml")).getroot()
    assert package.find("version").text == ros_style_transfer.__version__
    heading = re.search(r"^(\d+\.\d+\.\d+) \(\d{4}-\d{2}-\d{2}\)\n-+$", read(repository, "CHANGELOG.rst"), re.M)
    assert heading.group(1) == ros_style_transfer.__version__
    # pip's version is read from the package.
    project = read(repository, "pyproject.toml")
    assert 'dynamic = ["version"]' in project and 'path = "ros_style_transfer/__init__.py"' in project


# --- pip install ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory):
    """The path of the wheel that `pip install .` would install, built without network."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "-w",
            str(folder),
            repository,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """``installed(program, arguments...)``: a program of a fresh virtual environment with the wheel installed.  The
    dependencies are those of this Python."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = sysconfig.get_path(
        "purelib",
        "venv" if "venv" in sysconfig.get_scheme_names() else "posix_prefix",
        {"base": str(folder), "platbase": str(folder)},
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(folder / "bin" / "python"),
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            str(wheel),
        ],
        check=True,
    )
    dependencies = [path for path in sys.path if path.endswith("-packages")]
    with open(os.path.join(packages, "dependencies.pth"), "w") as file:
        file.write("\n".join(dependencies))
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}

    def installed(program, *arguments):
        return subprocess.run(
            [str(folder / "bin" / program), *map(str, arguments)],
            cwd=str(folder),
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return installed


def test_the_wheel_holds_the_core_its_weights_and_styles(wheel, repository):
    with zipfile.ZipFile(str(wheel)) as file:
        names = set(file.namelist())
        (metadata,) = [file.read(name).decode() for name in names if name.endswith("METADATA")]
    assert "\nVersion: %s\n" % ros_style_transfer.__version__ in metadata
    folder = os.path.join(repository, "weights")
    files = [name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name))]
    weights = {"ros_style_transfer/weights/" + name for name in files}
    styles = {
        "ros_style_transfer/styles/" + name
        for name in os.listdir(os.path.join(repository, "ros_style_transfer", "styles"))
    }
    assert {*weights, *styles, "ros_style_transfer/py.typed", "ros_style_transfer/cli/main.py"} <= names
    assert not [name for name in names if name.startswith(("ros_style_transfer/ros/", "ros_style_transfer/nodes/"))]


def test_the_source_distribution_holds_what_catkin_and_pip_build_from(repository, tmp_path):
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(str(path)) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    for part in ("action", "cfg", "launch", "msg", "ros_style_transfer", "srv", "test", "weights"):
        for folder, folders, files in os.walk(os.path.join(repository, part)):
            folders[:] = [name for name in folders if not name.startswith((".", "__"))]
            assert names >= {os.path.relpath(os.path.join(folder, name), repository) for name in files}
    assert names >= {"CMakeLists.txt", "package.xml", "plugin.xml", "pyproject.toml", "setup.py", "bootstrap.sh"}
    assert not [name for name in names if name.startswith((".git/", ".venv", ".ws"))]


def test_the_installed_command_prints_its_help(installed):
    done = installed("ros-style-transfer", "--help")
    assert done.returncode == 0, done.stderr
    for command in ("stylize", "render", "styles"):
        assert command in done.stdout


def test_the_installed_package_finds_its_weights_and_styles(installed):
    done = installed(
        "python",
        "-c",
        "import ros_style_transfer as r; from ros_style_transfer.models import weights\n"
        "print(r.__file__, weights.folder(), r.StyleLibrary().find('mosaic'))\n"
        "weights.load('live')",
    )
    assert done.returncode == 0, done.stderr
    package, weights, style = done.stdout.split()
    assert "dist-packages" in package or "site-packages" in package
    folder = os.path.dirname(package)
    assert (weights, style) == (os.path.join(folder, "weights"), os.path.join(folder, "styles", "mosaic.jpg"))
