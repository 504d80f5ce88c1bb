#!/usr/bin/env bash
# The main job, once, from nothing: sets up, starts the service, asks it, prints the answer and who did what for how
# much, and stops everything. On Claude when ANTHROPIC_API_KEY is set (or in .env), else on a built-in simulator.
#
#   scripts/demo.sh ["question"] [--file PATH …]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
question="Compare PostgreSQL, MySQL and SQLite for a small online shop: licence, operation and scaling."

case ${1:-} in
  -h | --help) sed -n '2,5p' "${BASH_SOURCE[0]}" | sed 's/^# \{0,1\}//'; exit 0 ;;
esac

wrong() { echo "demo.sh: $*" >&2; exit 2; }

arguments=() asked=""
while [ $# -gt 0 ]; do
  case $1 in
    --file)
      [ $# -gt 1 ] || wrong "--file needs a path"
      { [ -r "$2" ] && [ ! -d "$2" ]; } || wrong "cannot read $2"
      case $2 in /*) file=$2 ;; *) file=$PWD/$2 ;; esac
      arguments+=(--file "$file"); shift 2 ;;
    -*) wrong "unknown option $1 (see --help)" ;;
    "") wrong "the question is empty" ;;
    *) [ -z "$asked" ] || wrong "put the question in quotes"
       asked=$1; shift ;;
  esac
done

"$root/scripts/venv.sh" run
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The demo's own token secret, so that nothing of it stays and no home directory is needed.
export DATA_DIR=$work
unset ORCHESTRATOR_BASE_URL # or a service that runs elsewhere would be asked

echo "Question: ${asked:-$question}" >&2
cd "$root" # where .env is
.venv/bin/orchestrator-worker ask "${arguments[@]}" -- "${asked:-$question}"
