#!/usr/bin/env bash
# Writes requirements.lock and requirements-dev.lock anew from pyproject.toml: run it after changing a dependency.
# With hashes, for every platform, and without the address of any index. Needs uv: pip install uv.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
compile() {
  uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-header "$@"
}
compile --group build --output-file requirements.lock
compile --group dev --constraints requirements.lock --output-file requirements-dev.lock
