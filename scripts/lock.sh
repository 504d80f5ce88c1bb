#!/usr/bin/env bash
# Writes the three lock files (to run, to develop, to build) anew from pyproject.toml: run it after changing a dependency.
# With hashes, for every platform, and without the address of any index. Needs uv: pip install uv.
set -euo pipefail

case ${1:-} in
  -h | --help) sed -n '2,3p' "${BASH_SOURCE[0]}" | sed 's/^# //'; exit 0 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
compile() {
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-header "$@"
}
compile pyproject.toml --output-file requirements.lock
compile pyproject.toml --group dev --constraints requirements.lock --output-file requirements-dev.lock
compile --group build --constraints requirements-dev.lock --output-file requirements-build.lock
