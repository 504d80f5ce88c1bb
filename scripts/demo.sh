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
      arguments+=(--file "$2"); shift 2 ;;
    -*) wrong "unknown option $1 (see --help)" ;;
    "") wrong "the question is empty" ;;
    *) [ -z "$asked" ] || wrong "put the question in quotes"
       asked=$1; shift ;;
  esac
done

"$root/scripts/venv.sh" run
work=$(mktemp -d)
service=""
stop() {
  trap '' INT TERM # a second Ctrl-C must not leave anything behind
  if [ -n "$service" ] && kill "$service" 2>/dev/null; then wait "$service" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap stop EXIT
: >"$work/log"
# The demo's own token secret, so that nothing of it stays and no home directory is needed.
export DATA_DIR=$work/data

(
  cd "$root" # where .env is
  export API_HOST=127.0.0.1 API_PORT=0 LOG_FORMAT=json LOG_LEVEL=INFO
  exec .venv/bin/orchestrator-worker serve
) >"$work/log" 2>&1 &
service=$!

# The log names the port that the system has chosen; the service is ready when it says so itself.
url=""
for _ in $(seq 300); do
  kill -0 "$service" 2>/dev/null || break
  url=$(sed -n 's/.*"url": *"\([^"]*\)".*"event": *"listening".*/\1/p' "$work/log" | head -n 1)
  if [ -n "$url" ] && "$root/.venv/bin/python" -c "import sys, urllib.request as u
u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=5)" "$url/health/ready" 2>/dev/null; then break; fi
  url=""
  sleep 0.1
done
if [ -z "$url" ]; then
  echo "demo.sh: the service did not become ready; its log:" >&2
  tail -n 20 "$work/log" >&2
  exit 1
fi

if grep -q '"event": *"simulated"' "$work/log"; then
  echo "No ANTHROPIC_API_KEY: a simulator of the Claude API answers. The work is real, the words are not." >&2
else
  echo "Answering with Claude." >&2
fi
echo "Question: ${asked:-$question}" >&2

API_BEARER_TOKEN=$(cd "$root" && .venv/bin/orchestrator-worker token --subject demo --expires-in 1h)
export API_BEARER_TOKEN
"$root/.venv/bin/python" "$root/console_client.py" --base-url "$url" "${arguments[@]}" -- "${asked:-$question}"
