#!/usr/bin/env bash
# Serves the checkout while you change it: sets up, starts again when the code changes, logs in lines for people, and
# prints, once it is ready, a command to ask it with and where the API is described. Ctrl-C stops everything.
#
#   scripts/dev.sh [--port PORT]
#
# All other settings come from the environment or .env. Without --port, so does the port; 0 picks a free one.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
wrong() { echo "dev.sh: $*" >&2; exit 2; }

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    --port) [ $# -gt 1 ] || wrong "--port needs a number"; export API_PORT=$2; shift 2 ;;
    --port=*) export API_PORT=${1#*=}; shift ;;
    *) wrong "unknown option $1 (see --help)" ;;
  esac
done

"$root/scripts/venv.sh" dev
cd "$root" # where .env is
export PATH="$root/.venv/bin:$PATH" LOG_FORMAT=${LOG_FORMAT:-standard}

# Prints the port, the URL, where the API is described, if it is, and the model. The port is settled here, so that it stays the same from start to start, and
# nobody is sent to another service that has it already.
settle='
import socket, sys
from orchestrator_worker.config import load_settings
from orchestrator_worker.errors import ConfigurationError
try:
    settings = load_settings()
    host, port = settings.api.host, settings.api.port
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
except ConfigurationError as error:
    sys.exit(f"dev.sh: {error}")
except OSError as error:
    sys.exit(f"dev.sh: cannot listen on {host}:{port} ({error.strerror}); choose another --port")
where = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
port = listener.getsockname()[1]
url = f"http://[{where}]:{port}" if ":" in where else f"http://{where}:{port}"
print(port, url, f"{url}/docs" if settings.api.docs else "-", settings.api.service_model_name)
'
settled=$(python -c "$settle") || exit
read -r port url docs model <<<"$settled"
export API_PORT=$port

# Waits for the service, which runs under this script's process id, and says how to ask it.
announce() {
  until python -c "import sys, urllib.request as u
u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=5)" "$url/health/" 2>/dev/null; do
    kill -0 $$ 2>/dev/null || return 0
    sleep 0.2
  done
  cat <<TEXT

Ready. Ask it from a second terminal:

curl -N $url/v1/chat/completions \\
  -H "Authorization: Bearer $(orchestrator-worker token --subject dev)" -H "Content-Type: application/json" \\
  -d '{"model": "$model", "stream": true, "messages": [{"role": "user", "content": "Compare tea, coffee and mate."}]}'

TEXT
  [ "$docs" = - ] || echo "The API is described at $docs."
  printf 'Ctrl-C stops everything.\n\n'
}

(announce &) # a child of nobody, for the service would not collect it
exec orchestrator-worker serve --reload
