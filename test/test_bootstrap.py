"""bootstrap.sh: one clear sentence where it cannot do its work, and set-ups that are not the usual one."""

import os
import pty
import shutil
import subprocess
import zipfile

import pytest

SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bootstrap.sh")


@pytest.fixture
def run(tmp_path):
    """Runs bootstrap.sh on a system described by ``release``, with ``commands`` standing in for the real ones."""

    def run(
        *arguments,
        script=SCRIPT,
        release="ID=debian\nVERSION_ID=12\n",
        commands=(),
        cwd=None,
        variables=(),
        output=subprocess.PIPE,
    ):
        stubs = tmp_path / "stubs"
        stubs.mkdir(exist_ok=True)
        (stubs / "os-release").write_text(release)
        for name, text in dict(commands).items():
            (stubs / name).write_text("#!/bin/sh\n%s\n" % text)
            (stubs / name).chmod(0o755)
        environment = dict(
            os.environ,
            OS_RELEASE=str(stubs / "os-release"),
            PATH="%s:%s" % (stubs, os.environ["PATH"]),
            **dict(variables),
        )
        return subprocess.run(
            [str(script), *arguments],
            env=environment,
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )

    return run


def test_without_a_command_it_tells_how_it_is_used(run):
    done = run()
    assert done.returncode == 2
    for command in ("install", "demo", "test"):
        assert command in done.stdout


def test_an_unsupported_system_gets_one_sentence(run):
    done = run("install", release='ID=fedora\nVERSION_ID=40\nPRETTY_NAME="Fedora Linux 40"\n')
    assert done.returncode == 1
    assert len(done.stdout.strip().splitlines()) == 1
    assert "unsupported system Fedora Linux 40" in done.stdout and "Debian 12" in done.stdout


@pytest.mark.skipif(os.path.exists("/opt/ros/noetic"), reason="this machine has ROS in /opt/ros/noetic")
def test_ubuntu_without_noetic_gets_one_sentence(run):
    done = run("install", release="ID=ubuntu\nVERSION_ID=20.04\n")
    assert done.returncode == 1
    assert len(done.stdout.strip().splitlines()) == 1 and "/opt/ros/noetic" in done.stdout


@pytest.mark.parametrize("command", ["ros2", "demo2", "run2", "benchmark"])
def test_a_processor_without_wheels_of_ros_2_gets_one_sentence(run, command):
    done = run(command, commands={"uname": "echo aarch64"})
    assert done.returncode == 1
    assert len(done.stdout.strip().splitlines()) == 1
    assert "no wheels of ROS 2 for aarch64" in done.stdout and "doc/ros2.md" in done.stdout


def test_without_root_it_prints_the_line_to_run(run):
    done = run("install", commands={"id": "echo 1000", "dpkg-query": "exit 1", "apt-get": "echo apt-get was called"})
    assert done.returncode == 1
    assert "sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends" in done.stdout
    for package in ("ros-image-publisher", "g++", "make", "python3-venv"):
        assert " %s " % package in done.stdout
    assert "apt-get was called" not in done.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--tensorflow",), "a version such as 2.13.1, not ''"),
        (("--tensorflow", "new"), "not 'new'"),
        (("--tf", "2"), "--tf"),
    ],
)
def test_an_option_of_test_that_is_wrong_gets_one_sentence(run, arguments, words):
    done = run("test", *arguments)
    assert done.returncode == 1
    assert len(done.stdout.strip().splitlines()) == 1 and words in done.stdout


# --- where it sets up -----------------------------------------------------------------------------

# Every system package is there, none needs a build.
READY = {"dpkg-query": "echo installed", "catkin_make": "true", "apt-get": "echo apt-get was called; exit 1"}
MODULES = ("cv2", "numpy", "PIL", "pytest", "tqdm", "tensorflow")


def make_copy(folder):
    """Fill ``folder`` with the script and the files that it reads; no Python packages are to be installed."""
    for name in (
        "action",
        "cfg",
        "msg",
        "srv",
        "ros_style_transfer/models",
        "ros_style_transfer/nodes",
        "ros_style_transfer/ros_common",
        ".ws/demo",
    ):
        (folder / name).mkdir(parents=True)
    for name in (
        "CMakeLists.txt",
        "package.xml",
        "setup.py",
        "requirements.txt",
        "action/a",
        "cfg/a",
        "msg/a",
        "srv/a",
        "ros_style_transfer/controls.py",
        "ros_style_transfer/models/registry.py",
        "ros_style_transfer/ros_common/fields.py",
        ".ws/demo/vtest.avi",
        ".ws/demo/starry_night.jpg",
    ):
        (folder / name).write_text("")
    shutil.copy(SCRIPT, str(folder / "bootstrap.sh"))
    return folder


@pytest.fixture
def copy(tmp_path):
    return make_copy(tmp_path / "copy")


def prepares(run, copy, script, **options):
    """Whether the script, stopped by missing system packages, has prepared the folder ``copy``."""
    shutil.rmtree(str(copy / ".ws"))
    done = run("install", script=script, commands={"id": "echo 1000", "dpkg-query": "exit 1"}, **options)
    assert "system packages are missing" in done.stdout
    return (copy / ".ws").is_dir()


def test_a_symbolic_link_to_the_script_sets_up_the_scripts_folder(run, copy, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bootstrap").symlink_to(copy / "bootstrap.sh")
    assert prepares(run, copy, tmp_path / "bin" / "bootstrap")
    assert os.listdir(str(tmp_path / "bin")) == ["bootstrap"]


def test_cdpath_does_not_lead_it_elsewhere(run, copy, tmp_path):
    (tmp_path / "decoy" / "copy").mkdir(parents=True)
    assert prepares(run, copy, "copy/bootstrap.sh", cwd=str(tmp_path), variables={"CDPATH": str(tmp_path / "decoy")})
    assert os.listdir(str(tmp_path / "decoy" / "copy")) == []


def module(copy, name):
    (path,) = (copy / ".venv" / "lib").glob("python*/site-packages")
    return path / (name + ".py")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A copy with a virtual environment that holds `MODULES` and one program."""
    copy = make_copy(tmp_path_factory.mktemp("environment") / "copy")
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--system-site-packages", str(copy / ".venv")], check=True)
    for name in MODULES:
        module(copy, name).write_text("")
    (copy / ".venv" / "bin" / "program").write_text(
        "#!%s/.venv/bin/python3\nimport tensorflow, sys\nprint(sys.prefix)\n" % copy
    )
    (copy / ".venv" / "bin" / "program").chmod(0o755)
    return copy


def test_a_pip_conf_for_users_does_not_lead_packages_elsewhere(run, environment, tmp_path):
    with zipfile.ZipFile(str(tmp_path / "tiny-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    (environment / "requirements.txt").write_text(str(tmp_path / "tiny-1.0-py3-none-any.whl") + "\n")
    (tmp_path / "pip.conf").write_text("[install]\nuser = true\n")
    done = run(
        "install",
        script=environment / "bootstrap.sh",
        commands=READY,
        variables={
            "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
            "PYTHONUSERBASE": str(tmp_path / "local"),
            "PIP_NO_INDEX": "1",
        },
    )
    assert done.returncode == 0, done.stdout
    assert module(environment, "tiny").exists()
    assert not (tmp_path / "local").exists()


def test_packages_in_the_users_folder_take_no_part_in_the_build(run, environment):
    (environment / ".ws" / ".built").unlink()
    commands = dict(READY, catkin_make="env > env.txt")
    assert run("install", script=environment / "bootstrap.sh", commands=commands).returncode == 0
    assert "PYTHONNOUSERSITE=1\n" in (environment / ".ws" / "env.txt").read_text()


def test_a_tilde_in_the_demos_paths_is_the_home_folder(run, environment, tmp_path):
    (tmp_path / "home" / "styles").mkdir(parents=True)
    (tmp_path / "home" / "mine.png").write_text("")
    done = run(
        "demo",
        "style:=~/mine.png",
        "style_dirs:=~/styles:other",
        script=environment / "bootstrap.sh",
        commands=dict(READY, roslaunch='echo "$@"'),
        cwd=str(tmp_path),
        variables={"HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 0, done.stdout
    arguments = done.stdout.splitlines()[-1].split()
    assert "style:=%s/home/mine.png" % tmp_path in arguments
    (folders,) = [argument for argument in arguments if argument.startswith("style_dirs:=")]
    assert folders.split(":")[2:] == ["%s/home" % tmp_path, "%s/home/styles" % tmp_path, "%s/other" % tmp_path]


def test_what_pip_prints_goes_to_a_log(run, environment):
    (environment / "requirements.txt").write_text("# changed\n")
    done = run("install", script=environment / "bootstrap.sh", commands=READY)
    assert len(done.stdout.splitlines()) >= 2
    assert [line for line in done.stdout.splitlines() if not line.startswith("[bootstrap] ")] == []
    (environment / "requirements.txt").write_text("no-such-package==1\n")
    done = run("install", script=environment / "bootstrap.sh", commands=READY, variables={"PIP_NO_INDEX": "1"})
    assert done.returncode == 1
    assert "no-such-package" in done.stdout
    assert done.stdout.splitlines()[-1] == "[bootstrap] pip failed; full log: %s" % (environment / ".ws" / "pip.log")


def test_only_a_terminal_gets_colour_codes(run, environment):
    (environment / "requirements.txt").write_text("")
    assert "\033" not in run("install", script=environment / "bootstrap.sh", commands=READY).stdout

    def shown(**variables):
        terminal, other = pty.openpty()
        run("install", script=environment / "bootstrap.sh", commands=READY, variables=variables, output=other)
        os.close(other)
        text = os.read(terminal, 10000)
        os.close(terminal)
        return text

    assert b"\033[1m[bootstrap]" in shown(NO_COLOR="")
    assert b"\033" not in shown(NO_COLOR="1")


def test_a_moved_folder_keeps_its_packages_and_needs_no_network(run, environment, tmp_path):
    offline = {"PIP_NO_INDEX": "1", "http_proxy": "http://localhost:9", "https_proxy": "http://localhost:9"}
    (environment / "requirements.txt").write_text("")
    first = run("run", "program", script=environment / "bootstrap.sh", commands=READY, variables=offline)
    assert first.returncode == 0, first.stdout
    environment.rename(tmp_path / "moved")
    done = run("run", "program", script=tmp_path / "moved" / "bootstrap.sh", commands=READY, variables=offline)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == str(tmp_path / "moved" / ".venv")
    assert "the folder was moved from %s" % environment in done.stdout
    again = run("run", "program", script=tmp_path / "moved" / "bootstrap.sh", commands=READY, variables=offline)
    assert again.stdout.splitlines() == [str(tmp_path / "moved" / ".venv")]
    (tmp_path / "moved").rename(environment)
