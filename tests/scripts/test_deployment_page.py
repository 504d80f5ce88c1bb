"""The configuration files shown in docs/deployment.md are read by the programs they are for."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "deployment.md").read_text("utf-8")


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def _shown(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no {language} block"
    return found[1]


def _checked(command: Sequence[str | Path]) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@needs("nginx", "openssl")
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    named = ["-subj", "/CN=chat.example.com", "-keyout", key, "-out", certificate]
    _checked(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *named])
    site = _shown("nginx")
    for shown, here in (
        ("/etc/ssl/chat.example.com.pem", str(certificate)),
        ("/etc/ssl/private/chat.example.com.key", str(key)),
        ("listen 443", "listen 127.0.0.1:8443"),
    ):
        assert shown in site
        site = site.replace(shown, here)
    places = "".join(
        f"{name}_temp_path {tmp_path};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = tmp_path / "nginx.conf"
    whole.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}} "
        f"http {{ access_log off; {places}\n{site}}}\n"
    )
    said = _checked(["nginx", "-t", "-c", str(whole)])
    assert "[warn]" not in re.sub(r'.*the "user" directive.*', "", said)


@needs("caddy")
def test_caddy_takes_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "Caddyfile"
    file.write_text(_shown("caddyfile"))
    _checked(["caddy", "adapt", "--config", file, "--validate"])
    assert _checked(["caddy", "fmt", file]) == file.read_text()


@needs("systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "orchestrator-worker"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = _shown("ini")
    start = re.search(r"^ExecStart=(\S+)", unit, re.MULTILINE)
    assert start
    file = tmp_path / "orchestrator-worker.service"
    file.write_text(unit.replace(start[1], str(program)))
    # Mistakes in a line are only said, not counted.
    assert _checked(["systemd-analyze", "verify", file]) == ""


def test_the_unit_waits_longer_than_the_service_needs_to_stop() -> None:
    from orchestrator_worker.cli.serve import GRACE_SECONDS

    waits = re.search(r"^TimeoutStopSec=(\d+)$", _shown("ini"), re.MULTILINE)
    compose = re.search(
        r"^ *stop_grace_period: (\d+)s$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE
    )
    assert waits
    assert compose
    assert min(int(waits[1]), int(compose[1])) > GRACE_SECONDS
    assert f"get {GRACE_SECONDS} s" in PAGE
