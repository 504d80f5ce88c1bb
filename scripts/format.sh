#!/usr/bin/env bash
# Mends what ruff can mend by itself and formats the Python code: run it before scripts/test.sh. What needs you is
# listed, and ends it with 1.
#
#   scripts/format.sh [PATH …]     without a path: everything
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case ${1:-} in
  -h | --help) sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
  -*) echo "format.sh: unknown option $1 (see --help)" >&2; exit 2 ;;
esac

"$root/scripts/venv.sh" dev
[ $# -gt 0 ] || set -- "$root"
code=0
"$root/.venv/bin/ruff" check --fix --quiet -- "$@" || code=$?
"$root/.venv/bin/ruff" format --quiet -- "$@"
exit "$code"
