# What a page's shell knows before its first step; read by page_session.py, which sets SNIPPETS to a directory of its own.
set -euo pipefail

_default_port() {
  local written=""
  if [ -e .env ]; then written=$(sed -n 's/^API_PORT=\([0-9][0-9]*\).*/\1/p' .env | tail -n 1); fi
  echo "${API_PORT:-${written:-8000}}"
}

# Where the page's step in hand, STEP, lets what it serves write.
_log() { mktemp "$SNIPPETS/served.$STEP.XXXXXX"; }

# _stop PORT: ends what an earlier step serves there, as a reader would who starts it anew.
_stop() {
  local file=$SNIPPETS/port-$1 process
  [ -e "$file" ] || return 0
  process=$(<"$file")
  rm "$file"
  kill "$process" 2>/dev/null || return 0
  for _ in $(seq 400); do
    kill -0 "$process" 2>/dev/null || return 0
    # One that nobody collects has ended, too.
    if grep -qs '^State:[[:space:]]*Z' "/proc/$process/status"; then return 0; fi
    sleep 0.05
  done
  kill -KILL "$process" 2>/dev/null || true
}

# _served PROCESS PORT: waits until something listens there.
_served() {
  echo "$1" >"$SNIPPETS/port-$2"
  for _ in $(seq 600); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then return 0; fi
    kill -0 "$1" 2>/dev/null || break
    sleep 0.05
  done
  echo "nothing listens on port $2:" >&2
  cat "$SNIPPETS"/served.* >&2
  return 1
}

# A request whose body the page shows.
_send() {
  local token=${API_BEARER_TOKEN:-$(.venv/bin/orchestrator-worker token)}
  curl --silent --show-error --fail-with-body "http://127.0.0.1:8000/v1/chat/completions" \
    --header "Authorization: Bearer $token" --header "Content-Type: application/json" --data-binary @-
}

_end() {
  local status=$? file
  trap '' TERM INT
  for file in "$SNIPPETS"/port-*; do
    if [ -e "$file" ]; then _stop "${file##*port-}"; fi
  done
  exit "$status"
}
trap _end EXIT
