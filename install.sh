#!/bin/bash
# Install alexrep, editable, into .venv beside this file; what is done is skipped.
#
#   ./install.sh [EXTRA]              EXTRA: an extra of pyproject.toml, as in: test
#   PYTHON=python3.12 ./install.sh
#   PIP_CONSTRAINT=constraints.txt ./install.sh    the versions that the tests ran on
#
# pillow-simd goes in last, in the place of pillow: both install the folder PIL, and
# every pip install that wants pillow brings it back.
set -euo pipefail
cd "$(dirname "$0")"

extra=${1:-}
python=.venv/bin/python
stamp=.venv/alexrep-installed
failed=.venv/pillow-simd-failed
log=.venv/pillow-simd.log
wheels=.venv/wheels

say() { echo "install: $*"; }

stop() {
    say "$@" >&2
    exit 1
}

pip() { "$python" -m pip --disable-pip-version-check "$@"; }

# The command that installs $1 with Homebrew on a Mac, or $2 on Debian and Ubuntu.
from_system() {
    if [[ $(uname) == Darwin ]]; then echo "brew install $1"; else echo "apt-get install $2"; fi
}

# True if site-packages has a name like $1.
has() { compgen -G ".venv/lib/python*/site-packages/$1" >/dev/null; }

make_venv() {
    local creator=${PYTHON:-python3}
    command -v "$creator" >/dev/null ||
        stop "$creator: expected Python 3.11 or newer, found none; install it or set PYTHON" \
            "($(from_system python@3.13 'python3 python3-venv'))"
    "$creator" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "$creator: expected 3.11 or newer, found $("$creator" -V); set PYTHON to another" \
            "($(from_system python@3.13 'python3 python3-venv'))"
    "$creator" -c 'import ensurepip, venv' 2>/dev/null ||
        stop "$creator: expected its module venv, found none;" \
            "$(from_system python@3.13 python3-venv)"
    "$creator" -m venv --clear .venv
}

install_packages() {
    local wanted quiet=()
    wanted=$(cat pyproject.toml install.sh "${PIP_CONSTRAINT:-/dev/null}" | cksum)
    if [[ -x .venv/bin/alexrep && -f $stamp && $(head -n 1 "$stamp") == "$wanted" ]] &&
        { [[ -z $extra ]] || grep -qx "$extra" "$stamp"; }; then
        return
    fi
    "$python" -c '' 2>/dev/null || make_venv
    "$python" -c 'import pip' 2>/dev/null || "$python" -m ensurepip >/dev/null
    rm -f "$stamp" "$failed"
    if has 'torch'; then
        quiet=(--quiet)
    else
        say "torch and all else: some minutes, and some gigabytes"
    fi
    # pip would lay pillow over the files of pillow-simd.
    if has '[Pp]illow_*.dist-info'; then remove_pillows; fi
    # bash 3.2, which a Mac has, takes an empty array for an unset one.
    pip install ${quiet[@]+"${quiet[@]}"} --editable ".${extra:+[$extra]}"
    printf '%s\n' "$wanted" ${extra:+"$extra"} >"$stamp"
}

# True if a compiler finds the headers that pillow-simd needs.
can_build() {
    local include
    include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    printf '#include <%s>\n' stdio.h Python.h jpeglib.h zlib.h |
        cc -E -I"$include" - >/dev/null 2>&1
}

# True if PIL reads what it writes, and the two libraries that use it take it.
works() {
    "$python" - <<'END'
import io
import matplotlib.image
import torchvision.transforms
from PIL import Image

for form in "JPEG", "PNG":
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 100, 50)).save(file, form)
    red, green, blue = Image.open(file).resize((8, 8)).getpixel((4, 4))
    assert abs(red - 200) + abs(green - 100) + abs(blue - 50) < 10, form
END
}

remove_pillows() { pip uninstall --quiet --yes pillow pillow-simd 2>/dev/null; }

put() {
    remove_pillows
    pip install --quiet --no-deps --no-warn-conflicts "$@"
}

try_simd() {
    compgen -G "$wheels/*.whl" >/dev/null ||
        pip wheel --no-deps --wheel-dir "$wheels" pillow-simd || return
    put "$wheels"/*.whl && works
}

swap_pillow() {
    local pillow='' simd='' build
    build=$(from_system jpeg-turbo 'gcc python3-dev libjpeg-dev zlib1g-dev')
    if has '[Pp]illow-*.dist-info'; then pillow=yes; fi
    if has '[Pp]illow_*.dist-info'; then simd=yes; fi
    if [[ $simd && ! $pillow ]]; then return; fi
    if [[ $(uname -m) != x86_64 || -f $failed ]]; then
        say "Pillow stays: pillow-simd does not build or run here"
    elif ! can_build; then
        say "Pillow stays; for 1.7 times its speed: $build, then make install"
    elif try_simd >"$log" 2>&1; then
        say "pillow-simd is in the place of Pillow"
        return
    else
        say "Pillow stays: pillow-simd does not build or run here ($log says why)"
        touch "$failed"
        pillow=''
    fi
    if [[ $simd || ! $pillow ]]; then put pillow; fi
}

install_packages
swap_pillow
