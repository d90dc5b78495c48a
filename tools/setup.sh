#!/bin/sh
# Usage: tools/setup.sh lab|dev|browser     Sets up $VENV with $PYTHON, once; a second call finds nothing to do.
#
# A stamp inside the environment holds a checksum of what the set-up depends on and is written last, so an
# interrupted set-up is done again.
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

heading() { printf '\n== %s\n' "$*"; }
fail() {
    printf '\n%s\n' "$1" >&2
    exit 1
}

# as_root COMMAND...: as root, or through a sudo that asks for no password; fails where neither is to be had.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

apt_install() {
    command -v apt-get >/dev/null || return 1
    as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"
}

# A checksum of all that an installation depends on: what is asked for, and where it lies (scripts hold paths).
wanted() { { cat pyproject.toml constraints.txt && pwd -P; } | cksum; }

# stamped lab|dev: is that set-up complete? A complete dev set-up is a complete lab set-up too.
stamped() {
    [ -x "$VENV/bin/python" ] || return 1
    for kind in "$1" dev; do
        [ "$(cat "$VENV/.ncsn_edu-$kind" 2>/dev/null)" = "$(wanted)" ] && return 0
    done
    return 1
}

check_python() {
    command -v "$PYTHON" >/dev/null ||
        fail "There is no $PYTHON here. Install Python 3.10 or newer, or name one: make PYTHON=python3.12 lab"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
        for newer in python3.14 python3.13 python3.12 python3.11 python3.10; do
            "$newer" -c '' 2>/dev/null && break
            newer=python3.12
        done
        fail "$PYTHON is $("$PYTHON" --version 2>&1), and ncsn_edu needs Python 3.10 or newer.
Name a newer one: make PYTHON=$newer lab"
    }
    # Where an environment is active, build on the Python below it: ours may be the very one that is active.
    PYTHON=$("$PYTHON" -c 'import sys; print(getattr(sys, "_base_executable", None) or sys.executable)')
}

# Is there a whole environment here, and was it made here? (One that was moved has scripts that point elsewhere.)
usable_venv() {
    [ -x "$VENV/bin/pip" ] && ls "$VENV"/lib/python*/site-packages/pip-*.dist-info/INSTALLER >/dev/null 2>&1 &&
        here=$("$VENV/bin/python" -m pip --version 2>/dev/null) &&
        [ "$("$VENV/bin/pip" --version 2>/dev/null)" = "$here" ]
}

make_venv() {
    if [ -e "$VENV" ] && [ ! -e "$VENV/pyvenv.cfg" ] && [ -n "$(ls -A "$VENV")" ]; then
        fail "$VENV is there and is not a virtual environment. Move it away, or name another: make VENV=.venv2 lab"
    fi
    heading "a virtual environment in $VENV, with $("$PYTHON" --version)"
    "$PYTHON" -m venv --clear "$VENV" >"$log" 2>&1 && return
    version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if command -v apt-get >/dev/null && ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
        heading "installing python$version-venv, which this system keeps apart from Python"
        apt_install "python$version-venv" || apt_install python3-venv ||
            fail "Python's venv module is missing. Install it, and try again: sudo apt-get install python$version-venv"
        "$PYTHON" -m venv --clear "$VENV" >"$log" 2>&1 && return
    fi
    cat "$log" >&2
    fail "$PYTHON could not make a virtual environment in $VENV (its message is above)."
}

# install lab|dev
install() {
    if stamped "$1"; then return; fi
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    check_python
    usable_venv || make_venv
    rm -f "$VENV/.ncsn_edu-$1"
    # pip writes INSTALLER when all files of a package are in place: without it, the package is half installed.
    for info in "$VENV"/lib/python*/site-packages/*.dist-info; do
        [ -e "$info/INSTALLER" ] || rm -rf "$info"
    done

    what=.
    [ "$1" = lab ] || what=".[dev,teach,site]"
    set -- "$1" --disable-pip-version-check -e "$what"
    if "$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        set -- "$@" -c constraints.txt
    else
        echo "Python 3.10: the versions in constraints.txt need 3.11, so the newest that fit are installed instead."
    fi
    heading "installing ncsn_edu (the first time: a few minutes, as PyTorch is large)"
    kind=$1
    shift
    "$VENV/bin/python" -m pip install -q --no-compile "$@" ||
        fail "The installation failed (pip's message is above). Mend that and run the same command again."
    # What pip would do on one processor, on all of them; some packages hold files for other Pythons, which fail.
    "$VENV/bin/python" -m compileall -q -j 0 "$VENV"/lib/python*/site-packages >/dev/null 2>&1 || true
    [ "$kind" = lab ] || bubblewrap
    wanted >"$VENV/.ncsn_edu-$kind"
}

# Grading confines submissions by bubblewrap where there is one; without it, tests of that are skipped.
bubblewrap() {
    if command -v bwrap >/dev/null || ! command -v apt-get >/dev/null; then return; fi
    heading "installing bubblewrap, which confines what is graded"
    apt_install bubblewrap || echo "There is no bubblewrap here: the Linux kernel alone confines what is graded."
}

has_browser() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        "$name" --version >/dev/null 2>&1 && return
    done
    "$VENV/bin/python" - <<'PY' 2>/dev/null
import os, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    sys.exit(not os.path.exists(playwright.chromium.executable_path))
PY
}

browser() {
    if has_browser; then return; fi
    if command -v apt-get >/dev/null; then
        heading "installing Chromium, for the browser tests"
        apt_install chromium || true
    fi
    if has_browser; then return; fi
    echo "There is no Chromium here, so the browser tests will be skipped. To get one:"
    echo "    $VENV/bin/playwright install chromium"
    [ "${CI:-}" != true ] || fail "In CI (CI=true) a missing browser is an error."
}

case "${1:-}" in
    lab | dev) install "$1" ;;
    browser) browser ;;
    *) fail "usage: tools/setup.sh lab|dev|browser" ;;
esac
