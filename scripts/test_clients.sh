#!/usr/bin/env bash
# Runs real OpenAI clients, of fixed versions, against the service before a simulator, and writes docs/compatibility.md.
#
#   scripts/test_clients.sh [client …]
#   scripts/test_clients.sh --check    fail when docs/compatibility.md is out of date, and do not write it
#
# Clients are installed under .clients, anew when their locks change. Needs Node 20.15 or newer, with npm.
set -euo pipefail

case ${1:-} in
  -h | --help) sed -n '2,7p' "${BASH_SOURCE[0]}" | sed 's/^# \{0,1\}//'; exit 0 ;;
  --check | [!-]* | "") ;;
  *) echo "test_clients.sh: unknown option $1 (see --help)" >&2; exit 2 ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/venv.sh" run
exec "$root/.venv/bin/python" "$root/tests/clients/run.py" "$@"
