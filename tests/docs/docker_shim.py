"""Stands for `docker` while the documentation's commands run, since a test machine has no engine.

What it proves: the files that a command names exist and merge; the compose file uses only keys of
the compose specification that are listed here; variables in it resolve; the environment and the
mounts it gives start the real service, which finds of the checkout what is mounted and nothing
beside it; commands and options are spelt as docker spells them; a build names arguments that the
Dockerfile declares and files that exist. What it does not prove: anything an
engine or an image does. No image is built, no volume, network, user, limit or health check exists,
and of a compose file's services only the one made from this checkout is run.
`scripts/check-container.sh` builds the image and runs it confined.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import yaml

STATE = Path(os.environ["SNIPPETS"]) / "docker"
VENV = Path(sys.executable).parent
WAIT_SECONDS = 20
TOP_LEVEL = {"name", "services", "volumes", "networks", "secrets", "configs", "include"}
SERVICE_KEYS = {
    "build", "cap_add", "cap_drop", "command", "configs", "container_name", "cpus", "depends_on",
    "deploy", "entrypoint", "env_file", "environment", "expose", "extra_hosts", "healthcheck",
    "hostname", "image", "init", "labels", "logging", "mem_limit", "networks", "pids_limit",
    "ports", "profiles", "pull_policy", "read_only", "restart", "scale", "secrets", "security_opt",
    "stop_grace_period", "stop_signal", "tmpfs", "ulimits", "user", "volumes", "working_dir",
}  # fmt: skip
IMAGE_ENVIRONMENT = {"API_HOST": "0.0.0.0", "API_PORT": "8000", "DATA_DIR": "/data"}
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:?[-?])([^}]*))?\}|\$(\w+)")


def fail(message: str) -> NoReturn:
    """End as docker does when it cannot do what it is told."""
    sys.stderr.write(f"docker (stand-in): {message}\n")
    sys.exit(125)


class Compose:
    """The compose files of one command, merged."""

    def __init__(self, files: list[str], env_files: list[str]) -> None:
        self.variables = dict(_env_file(Path(".env")) if Path(".env").exists() else {})
        for name in env_files:
            self.variables |= _env_file(_existing(name))
        self.variables |= os.environ
        merged: dict[str, Any] = {}
        for name in files:
            merged = _merged(merged, self._resolved(yaml.safe_load(_existing(name).read_text())))
        if unknown := merged.keys() - TOP_LEVEL:
            fail(f"{files}: unknown keys {sorted(unknown)}")
        self.file = merged
        for name, service in merged.get("services", {}).items():
            self._check(name, service)

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._resolved(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self._resolved(part) for part in value]
        return (
            _VARIABLE.sub(self._value, value.replace("$$", "\0")).replace("\0", "$")
            if isinstance(value, str)
            else value
        )

    def _value(self, match: re.Match[str]) -> str:
        name, operator, other = match[1] or match[4], match[2], match[3] or ""
        value = self.variables.get(name)
        if value or (value is not None and operator in ("-", "?")):
            return value
        if operator and operator.endswith("?"):
            fail(f"variable {name} is not set: {other}")
        return other

    def _check(self, name: str, service: dict[str, Any]) -> None:
        if unknown := service.keys() - SERVICE_KEYS:
            fail(f"service {name!r}: unknown keys {sorted(unknown)}")
        for inside, outside in self.mounts(service).items():
            if not outside.exists():
                fail(f"service {name!r}: {str(outside)!r}, for {inside}, does not exist")

    def mounts(self, service: dict[str, Any]) -> dict[str, Path]:
        """Return what stands where inside the container, as far as it stands on this machine."""
        found: dict[str, Path] = {}
        for volume in service.get("volumes", []):
            if isinstance(volume, dict):
                source, target = volume.get("source", ""), volume["target"]
            else:
                source, _, rest = volume.partition(":")
                target = rest.partition(":")[0]
            if source.startswith((".", "/", "~")):
                found[target] = Path(source).expanduser().absolute()
            elif source:
                if source not in self.file.get("volumes", {}):
                    fail(f"volume {source!r} is not declared")
                found[target] = _made(STATE / "volumes" / source)
        for secret in service.get("secrets", []):
            name = secret["source"] if isinstance(secret, dict) else secret
            if file := self.file.get("secrets", {}).get(name, {}).get("file"):
                found[f"/run/secrets/{name}"] = Path(file).absolute()
        return found

    def own(self) -> tuple[str, dict[str, Any]]:
        """Return the service that this checkout is."""
        for name, service in self.file["services"].items():
            if "build" in service or service.get("image", "").startswith("orchestrator-worker"):
                return name, service
        fail("no service is built from this checkout")

    def environment(self, service: dict[str, Any]) -> dict[str, str]:
        found = dict(IMAGE_ENVIRONMENT)
        for entry in _as_list(service.get("env_file")):
            path, required = (
                (entry, True)
                if isinstance(entry, str)
                else (entry["path"], entry.get("required", True))
            )
            if Path(path).exists() or required:
                found |= _env_file(_existing(path))
        given = service.get("environment") or {}
        if isinstance(given, list):
            given = {
                name: value if eq else None
                for name, eq, value in (it.partition("=") for it in given)
            }
        for name, value in given.items():
            value = self.variables.get(name) if value is None else str(value)
            if value is not None:
                found[name] = value
        return _outside(found, self.mounts(service))


def _outside(environment: dict[str, str], mounts: dict[str, Path]) -> dict[str, str]:
    """Return the environment with the container's paths as this machine has them."""
    moved = dict(environment)
    for inside, outside in mounts.items():
        mounted = _mounted(inside, outside)
        for name, value in moved.items():
            if value == inside or value.startswith(f"{inside}/"):
                moved[name] = str(mounted) + value.removeprefix(inside)
    if moved["DATA_DIR"] == "/data":
        moved["DATA_DIR"] = str(_made(STATE / "volumes" / "unnamed"))
    return {**moved, "API_HOST": "127.0.0.1"}


def _mounted(inside: str, outside: Path) -> Path:
    """Put a mount into a tree made of mounts alone: what lies beside its source is not there.

    A copy, since whoever resolves a link finds what lies beside its target. Volumes stay where they
    are, for they must last, and nothing else is beside them.
    """
    if outside.is_relative_to(STATE):
        return outside
    target = STATE / "root" / inside.lstrip("/")
    _made(target.parent)
    if outside.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(outside, target)
    else:
        target.unlink(missing_ok=True)
        shutil.copy2(outside, target)
    return target


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            key: _merged(one.get(key), other.get(key, one.get(key))) for key in {**one, **other}
        }
    if isinstance(one, list) and isinstance(other, list) and one is not other:
        return one + other
    return other


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _existing(name: str) -> Path:
    if not Path(name).is_file():
        fail(f"no such file: {name}")
    return Path(name)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _env_file(path: Path) -> dict[str, str]:
    lines = (re.sub(r"\s+#.*", "", line).strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}


def _parser(
    name: str, *, flags: str = "", values: str = "", rest: str = "*"
) -> argparse.ArgumentParser:
    """Return a parser for one command; options are named as docker does, with their short forms."""
    parser = argparse.ArgumentParser(prog=f"docker {name}", allow_abbrev=False)
    for option in flags.split():
        parser.add_argument(*option.split("|"), action="store_true")
    for option in values.split():
        parser.add_argument(*option.split("|"), action="append", default=[])
    parser.add_argument("rest", nargs=rest)
    return parser


def compose(words: list[str]) -> None:
    parser = _parser(
        "compose", values="-f|--file --env-file -p|--project-name --profile", rest="..."
    )
    options = parser.parse_args(words)
    if not options.rest:
        fail("compose: which command?")
    default = [name for name in ("compose.yaml", "docker-compose.yml") if Path(name).exists()]
    files = options.file or [
        *default[:1],
        *(["docker-compose.override.yml"] if Path("docker-compose.override.yml").exists() else []),
    ]
    command, *rest = options.rest
    commands = {
        "up": _up, "down": _down, "stop": _down, "exec": _exec, "run": _compose_run, "logs": _logs,
        "ps": _ps, "restart": _restart, "config": _config, "build": _compose_build, "pull": _ps,
    }  # fmt: skip
    if command not in commands:
        fail(f"compose {command} is not known here")
    commands[command](Compose(files, options.env_file), rest)


def _up(files: Compose, words: list[str]) -> None:
    flags = "-d|--detach --build --wait --force-recreate --no-deps --remove-orphans --pull"
    options = _parser("compose up", flags=flags, values="--scale").parse_args(words)
    _, service = files.own()
    if options.build or "image" not in service:
        _check_build(service.get("build"))
    environment = files.environment(service)
    _made(STATE)
    if (STATE / "environment.json").exists():
        _down(files, [])  # compose replaces what it has started before
    (STATE / "environment.json").write_text(json.dumps(environment))
    command = _as_list(service.get("command")) or ["serve"]
    if options.detach or options.wait:
        _start(command, environment)
    else:
        _become(["orchestrator-worker", *command], environment)


def _start(command: list[str], environment: dict[str, str]) -> None:
    port = environment["API_PORT"]
    if _answers(port):
        fail(f"port {port} is already allocated")
    with (STATE / "log").open("ab") as log:
        process = subprocess.Popen(
            [str(VENV / "orchestrator-worker"), *command],
            env=_whole(environment),
            cwd=_made(STATE / "app"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    # Where the page's shell looks for what it must end.
    (STATE.parent / f"port-{port}").write_text(str(process.pid))
    for _ in range(WAIT_SECONDS * 20):
        if _answers(port):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    fail(f"the service did not start: {(STATE / 'log').read_text()}")


def _answers(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def _become(words: list[str], environment: dict[str, str]) -> NoReturn:
    os.chdir(_made(STATE / "app"))  # as in the image, without a .env
    os.execvpe(words[0], words, _whole(environment))


def _whole(environment: dict[str, str]) -> dict[str, str]:
    # The checkout comes before the environment that lends its libraries, as in the page's shell.
    source = environment.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    own = {"PATH": f"{VENV}:{os.environ['PATH']}", "HOME": "/", "PYTHONPATH": source}
    return {**environment, **own}


def _kept_environment() -> dict[str, str]:
    file = STATE / "environment.json"
    if not file.exists():
        fail("the service is not running")
    return json.loads(file.read_text())


def _exec(files: Compose, words: list[str]) -> None:
    parser = _parser(
        "compose exec", flags="-T|--no-tty -d|--detach", values="-e|--env -u|--user", rest="..."
    )
    options = parser.parse_args(words)
    name, *command = options.rest
    if name != files.own()[0]:
        fail(f"service {name!r} is not running")
    environment = _kept_environment()
    environment |= dict(pair.split("=", 1) for pair in options.env)
    _become(command, environment)


def _compose_run(files: Compose, words: list[str]) -> None:
    parser = _parser(
        "compose run", flags="--rm -T|--no-TTY --no-deps", values="-e|--env", rest="..."
    )
    options = parser.parse_args(words)
    name, *command = options.rest
    if name != files.own()[0]:
        fail(f"no such service: {name}")
    environment = files.environment(files.own()[1]) | dict(
        pair.split("=", 1) for pair in options.env
    )
    _become(["orchestrator-worker", *(command or ["serve"])], environment)


def _process() -> tuple[Path, int | None]:
    """Return where the service's process is noted, and which it is; None: it has been ended."""
    file = STATE.parent / f"port-{_kept_environment()['API_PORT']}"
    return file, int(file.read_text()) if file.exists() else None


def _down(_files: Compose, words: list[str]) -> None:
    _parser(
        "compose down", flags="-v|--volumes --remove-orphans", values="-t|--timeout"
    ).parse_args(words)
    file, process = _process()
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    for _ in range(WAIT_SECONDS * 20):
        if _has_ended(process):
            break
        time.sleep(0.05)
    file.unlink()
    (STATE / "environment.json").unlink()


def _has_ended(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # nobody may be there to collect it


def _restart(files: Compose, words: list[str]) -> None:
    _parser("compose restart").parse_args(words)
    _down(files, [])
    _up(files, ["--detach"])


def _logs(_files: Compose, words: list[str]) -> None:
    flags = "-f|--follow --no-color --no-log-prefix -t|--timestamps"
    _parser("compose logs", flags=flags, values="-n|--tail --since").parse_args(words)
    _kept_environment()
    for log in [STATE / "log", *STATE.parent.glob("served.*")]:
        if log.exists():
            sys.stdout.write(log.read_text())


def _ps(files: Compose, words: list[str]) -> None:
    _parser("compose ps", flags="-a|--all -q|--quiet", values="--format").parse_args(words)
    sys.stdout.write("".join(f"{name}\n" for name in files.file["services"]))


def _config(files: Compose, words: list[str]) -> None:
    _parser("compose config", flags="-q|--quiet --services").parse_args(words)
    sys.stdout.write(yaml.safe_dump(files.file))


def _compose_build(files: Compose, words: list[str]) -> None:
    options = _parser("compose build", flags="--pull --no-cache", values="--build-arg").parse_args(
        words
    )
    _check_build(files.own()[1].get("build"), options.build_arg)


def _check_build(build: Any, arguments: list[str] | None = None) -> None:
    if build is None:
        fail("there is nothing to build")
    context = build if isinstance(build, str) else build.get("context", ".")
    file = Path(context) / (
        "Dockerfile" if isinstance(build, str) else build.get("dockerfile", "Dockerfile")
    )
    given = {} if isinstance(build, str) else build.get("args") or {}
    named = [*(it.partition("=")[0] for it in arguments or []), *given]
    _check_dockerfile(file, Path(context), named)


def _check_dockerfile(file: Path, context: Path, arguments: list[str]) -> None:
    text = _existing(str(file)).read_text()
    declared = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    if unknown := set(arguments) - declared:
        fail(f"{file} declares no build argument {sorted(unknown)}")
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            if not list(context.glob(source)):
                fail(f"{file}: {source!r} does not exist in {context}")


def build(words: list[str]) -> None:
    values = "-t|--tag -f|--file --build-arg --platform --target --label --secret --output"
    options = _parser("build", flags="--pull --no-cache --push --load", values=values).parse_args(
        words
    )
    if len(options.rest) != 1:
        fail("build: takes one folder")
    (context,) = options.rest
    file = Path(options.file[0]) if options.file else Path(context) / "Dockerfile"
    _check_dockerfile(file, Path(context), [it.partition("=")[0] for it in options.build_arg])
    _made(STATE / "images")
    for tag in options.tag:
        (STATE / "images" / tag.replace("/", "_")).touch()


def run(words: list[str]) -> None:
    flags = "--rm -d|--detach -i|--interactive -t|--tty --read-only --init"
    values = (
        "--name -e|--env --env-file -p|--publish -v|--volume --mount --tmpfs --cap-drop --cap-add "
        "--security-opt -m|--memory --pids-limit --stop-timeout --network --user --restart --cpus "
        "--add-host --label --entrypoint --hostname --ulimit --log-driver --log-opt"
    )
    options = _parser("run", flags=flags, values=values, rest="...").parse_args(words)
    image, *command = options.rest
    if (
        image != "orchestrator-worker:local"
        and not (STATE / "images" / image.replace("/", "_")).exists()
    ):
        fail(f"no image {image!r} was built before")
    environment = dict(IMAGE_ENVIRONMENT)
    for file in options.env_file:
        environment |= _env_file(_existing(file))
    for pair in options.env:
        name, given, value = pair.partition("=")
        environment[name] = value if given else os.environ.get(name, "")
    for published in options.publish:
        *_, outside, _inside = published.split(":")
        environment["API_PORT"] = outside
    environment = _outside(environment, _volumes(options.volume))
    command = command or ["serve"]
    if options.detach:
        _made(STATE)
        _start(command, environment)
    else:
        _become(["orchestrator-worker", *command], environment)


def _volumes(given: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for volume in given:
        source, target = volume.split(":")[:2]
        outside = (
            Path(source) if source.startswith((".", "/")) else _made(STATE / "volumes" / source)
        )
        if not outside.exists():
            fail(f"{source!r} does not exist")
        found[target] = outside.absolute()
    return found


def main() -> None:
    commands = {"compose": compose, "build": build, "run": run}
    command, *words = sys.argv[1:] or [""]
    if command not in commands:
        fail(f"{command!r} is not known here")
    commands[command](words)


if __name__ == "__main__":
    main()
