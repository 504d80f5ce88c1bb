#!/usr/bin/env bash
# Makes .venv from a lock file and installs the project into it, once per lock: `scripts/venv.sh run|dev`.
# Called by the other scripts; run it yourself after changing a lock. PYTHON chooses the interpreter.
set -euo pipefail

case ${1:-} in
  -h | --help) sed -n '2,3p' "${BASH_SOURCE[0]}" | sed 's/^# //'; exit 0 ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
kind=${1:-}
case $kind in
  run) lock=requirements.lock ;;
  dev) lock=requirements-dev.lock ;;
  *) echo "usage: scripts/venv.sh run|dev" >&2; exit 2 ;;
esac

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
    if "$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer (with venv) is needed; set PYTHON to one." >&2
  return 1
}

cd "$root"
# The name of the stamp is the content of the lock, so a changed lock installs again.
stamp() { echo ".venv/.installed-$(.venv/bin/python -c 'import hashlib,sys
print(hashlib.sha256(b"".join(open(name,"rb").read() for name in sys.argv[1:])).hexdigest()[:16])' "$@")"; }

if [ ! -x .venv/bin/python ]; then
  python=$(find_python)
  echo "Setting up .venv with $("$python" --version) …" >&2
  "$python" -m venv .venv
fi
[ -e "$(stamp "$lock" pyproject.toml)" ] && exit 0
# Everything that running needs, developing needs too.
[ "$kind" = run ] && [ -e "$(stamp requirements-dev.lock pyproject.toml)" ] && exit 0

echo "Installing $lock (this takes a while the first time) …" >&2
export PIP_DISABLE_PIP_VERSION_CHECK=1
.venv/bin/python -m pip install --quiet --require-hashes -r "$lock" -r requirements-build.lock
.venv/bin/python -m pip install --quiet --no-build-isolation --no-deps --editable .
touch "$(stamp "$lock" pyproject.toml)"
