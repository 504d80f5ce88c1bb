#!/usr/bin/env bash
# Runs everything that must pass before a change lands: format, lint, import contracts, types, sizes, tests with
# coverage. Sets itself up in a fresh clone. With arguments it runs only pytest, with those: scripts/test.sh -k retry
set -euo pipefail

case ${1:-} in
  -h | --help) sed -n '2,3p' "${BASH_SOURCE[0]}" | sed 's/^# //'; exit 0 ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/venv.sh" dev
cd "$root"
export PATH="$root/.venv/bin:$PATH"

if [ $# -gt 0 ]; then
  exec pytest "$@"
fi

step() { echo "── $*" >&2; }
step "format and lint"
ruff format --check --quiet .
ruff check --quiet .
step "import contracts"
lint-imports --no-cache >/dev/null || lint-imports --no-cache
step "sizes"
python scripts/check_sizes.py
step "generated documents"
python scripts/generate_docs.py --check
step "types"
types=$(pyright --warnings) || { echo "$types"; exit 1; }
step "tests"
exec pytest --cov --cov-report=term-missing:skip-covered
