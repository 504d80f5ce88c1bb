#!/usr/bin/env bash
# Writes the clients' locks anew: run it after changing a requirements-*.in or package.json here. Needs uv and npm.
# With hashes, for every platform, and without the address of any index.
set -euo pipefail

case ${1:-} in
  -h | --help) sed -n '2,3p' "${BASH_SOURCE[0]}" | sed 's/^# //'; exit 0 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")"
for wanted in python/requirements-*.in; do
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-header --upgrade "$wanted" --output-file "${wanted%.in}.lock"
done
cd node
npm install --package-lock-only --omit-lockfile-registry-resolved --silent
