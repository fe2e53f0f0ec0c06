# Sourced by the other scripts: makes .venv with what they need, once for each state of pyproject.toml.
# Uses uv where it is there, python -m venv and pip where it is not.
set -eu
cd "$(dirname "$0")/.."

find_python() {
    for candidate in python3.14 python3.13 python3.12 python3.11 python3 python; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 or newer was found" >&2
    echo "hint: install one (python3.11, with its venv module), then run this again" >&2
    return 1
}

# prepare_environment WHAT: "run" installs the program, "develop" what the tests and checks need as well.
prepare_environment() {
    stamp=".venv/.prepared-$1-$(cksum <pyproject.toml | cut -d' ' -f1)"
    [ -e "$stamp" ] && return
    python=$(find_python)
    echo "Preparing .venv ($("$python" --version)) …" >&2
    if command -v uv >/dev/null 2>&1; then
        [ -x .venv/bin/python ] || uv venv --quiet --python "$python" .venv
        set -- "$1" --quiet --compile-bytecode --python .venv/bin/python -e '.[embedded,worker]'
        [ "$1" = develop ] && set -- "$@" --group dev
        shift
        uv pip install "$@"
    else
        [ -x .venv/bin/python ] || "$python" -m venv .venv
        # --group is understood since pip 25.1.
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
        set -- "$1" --quiet --disable-pip-version-check -e '.[embedded,worker]'
        [ "$1" = develop ] && set -- "$@" --group dev
        shift
        .venv/bin/python -m pip install "$@"
    fi
    touch "$stamp"
}
