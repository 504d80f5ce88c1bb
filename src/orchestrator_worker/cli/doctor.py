"""`orchestrator-worker doctor`: looks at everything a service needs, and says what to do.

Each check gives findings; none stops the others, so that one look tells everything.
"""

import asyncio
import errno
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from http.client import HTTPConnection, HTTPException
from typing import Literal

from orchestrator_worker.app import open_upstream
from orchestrator_worker.auth.signing import token_signer
from orchestrator_worker.auth.tokens import LEEWAY
from orchestrator_worker.claude.anthropic_client import ModelStatus
from orchestrator_worker.cli.output import print_json, print_table
from orchestrator_worker.clock import utc_now
from orchestrator_worker.config import ENV_FILE, Loaded, Settings, load
from orchestrator_worker.errors import ConfigurationError, UpstreamError, UpstreamFault
from orchestrator_worker.observability.logging import configure_logging
from orchestrator_worker.teams.loader import load_teams, prompt_folders

UPSTREAM_SECONDS = 15.0
SOON = timedelta(days=60)
"""A model that retires within this time is worth a warning."""
LEAST_FREE_BYTES = 100 * 1024**2

State = Literal["ok", "warning", "problem"]
_MARKS: dict[State, str] = {"ok": "✓", "warning": "!", "problem": "✗"}

_REFUSALS = {
    UpstreamFault.AUTHENTICATION: "The key is refused: check ANTHROPIC_API_KEY.",
    UpstreamFault.CONNECTION: "Check the network, proxy variables and ANTHROPIC_BASE_URL.",
    UpstreamFault.MALFORMED: "ANTHROPIC_BASE_URL names something that is not the Messages API.",
    UpstreamFault.SPEND_LIMIT: "The account's spend limit is reached; raise it with Anthropic.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found."""

    check: str
    state: State
    found: str
    advice: str = ""
    """What to do; empty when there is nothing."""


def doctor(*, as_json: bool) -> int:
    """Print all findings; returns 1 when one of them keeps the service from working."""
    configure_logging("CRITICAL", "standard", descriptor=2)
    findings = list(_look())
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        print_json({"problems": problems, "findings": [asdict(it) for it in findings]})
    else:
        _tell(findings, problems)
    return 1 if problems else 0


def _tell(findings: list[Finding], problems: int) -> None:
    rows: list[tuple[str, str, str]] = []
    for it in findings:
        rows.append((_MARKS[it.state], it.check, it.found))
        if it.advice:
            rows.append(("", "", f"→ {it.advice}"))
    print_table(rows)
    warnings = sum(it.state == "warning" for it in findings)
    print()
    print(f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}.".capitalize())


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'s' * (number != 1)}"


def _look() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")
    loaded = load()
    yield from _settings(loaded)
    wrong = {line.split(":")[0] for line in loaded.mistakes}
    for check, (look, needed) in _CHECKS.items():
        in_doubt = [name for name in wrong if name.startswith((*needed, ENV_FILE))]
        if in_doubt:
            yield _not_looked_at(check, in_doubt)
        else:
            yield from look(loaded.settings)


def _not_looked_at(check: str, names: list[str]) -> Finding:
    advice = "Correct that first."
    return Finding(check, "warning", f"not looked at, for {', '.join(sorted(names))}", advice)


def _settings(loaded: Loaded) -> Iterator[Finding]:
    advice = "Correct it; docs/configuration.md has what each may be."
    for line in loaded.mistakes:
        yield Finding("settings", "problem", line, advice)
    for name, text in loaded.sources.notices.items():
        yield Finding("settings", "warning", f"{name} {text}")
    if not loaded.mistakes:
        count = len(loaded.sources.values)
        yield Finding("settings", "ok", f"{loaded.settings.environment}, {count} set")


def _teams(settings: Settings) -> Iterator[Finding]:
    place = prompt_folders(settings)[0]
    try:
        teams = load_teams(settings)
    except ConfigurationError as error:
        for line in str(error).splitlines():
            yield Finding("teams", "problem", line, "Correct the file; the service will not start.")
    else:
        yield Finding("teams", "ok", f"{', '.join(teams)} in {place}")


def _secret(settings: Settings) -> Iterator[Finding]:
    if settings.auth.secret is not None:
        yield Finding("tokens", "ok", "signed with JWT_SECRET_KEY")
        return
    try:
        token_signer(settings)
    except ConfigurationError:
        found = "no place for the secret that signs them in DATA_DIR"
        yield Finding("tokens", "problem", found, "Make it writable, or set JWT_SECRET_KEY.")
        return
    place = settings.data_dir / "jwt-secret"
    yield Finding("tokens", "ok", f"signed with this machine's own secret, {place}")


def _data(settings: Settings) -> Iterator[Finding]:
    try:
        place = settings.data_dir
    except ConfigurationError as error:
        yield Finding("data", "problem", str(error), "Set DATA_DIR.")
        return
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        advice = "Make it writable, or set DATA_DIR to another."
        yield Finding("data", "problem", f"cannot write in {place} ({error.strerror})", advice)
        return
    if free < LEAST_FREE_BYTES:
        found = f"{place} has only {free // 1024**2} MB left"
        yield Finding("data", "warning", found, "Make room, or set DATA_DIR to another.")
    else:
        yield Finding("data", "ok", f"{place} can be written")


def _claude(settings: Settings) -> Iterator[Finding]:
    try:
        teams = load_teams(settings).values()
    except ConfigurationError:
        teams = ()  # that is told already
    models = frozenset(model for team in teams for model in team.models)
    yield from asyncio.run(_ask_upstream(settings, models))


def _port(settings: Settings) -> Iterator[Finding]:
    host, port = settings.api.host, settings.api.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        found = f"API_HOST {host!r} is no address or name that is known here"
        yield Finding("port", "problem", found, "Set another; 127.0.0.1 is this machine alone.")
        return
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            yield _taken(host, port) if taken else _forbidden(host, port, error)
            return
    yield Finding("port", "ok", f"{host}:{port} is free")


def _forbidden(host: str, port: int, error: OSError) -> Finding:
    here = error.errno != errno.EADDRNOTAVAIL
    advice = "Set API_PORT to one above 1023." if here else "Set API_HOST to one of this machine's."
    return Finding("port", "problem", f"{host}:{port}: {error.strerror}", advice)


def _taken(host: str, port: int) -> Finding:
    loopback = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    connection = HTTPConnection(loopback, port, timeout=2)
    try:
        connection.request("GET", "/health/")
        response = connection.getresponse()
        ours = response.status == 200 and b'"status"' in response.read(200)
    except (OSError, HTTPException):
        ours = False
    finally:
        connection.close()
    if ours:
        return Finding("port", "ok", f"{host}:{port} is served, by this service it seems")
    advice = "Set API_PORT to another, or end what listens there."
    return Finding("port", "problem", f"{host}:{port} is taken by another program", advice)


async def _ask_upstream(settings: Settings, models: frozenset[str]) -> list[Finding]:
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(UPSTREAM_SECONDS), open_upstream(settings) as upstream:
            await upstream.probe()
            findings.append(_key(settings))
            statuses = [await upstream.model_status(model) for model in sorted(models)]
            findings += [_judged(status, utc_now().date()) for status in statuses]
            findings.append(_clock(await upstream.clock_ahead()))
    except UpstreamError as error:
        advice = _REFUSALS.get(error.fault, "Try again later; status.anthropic.com may know more.")
        findings.append(Finding("claude", "problem", f"does not answer: {error.fault}", advice))
    except TimeoutError:
        found = f"no answer within {UPSTREAM_SECONDS:g} s"
        advice = _REFUSALS[UpstreamFault.CONNECTION]
        findings.append(Finding("claude", "problem", found, advice))
    return findings


def _key(settings: Settings) -> Finding:
    if settings.simulated:
        advice = "Set ANTHROPIC_API_KEY for real answers."
        return Finding("claude", "warning", "no key: an embedded simulator answers", advice)
    place = settings.claude.base_url or "Anthropic"
    taken = "takes the key" if settings.claude.api_key else "answers without a key"
    return Finding("claude", "ok", f"{place} {taken}")


def _judged(status: ModelStatus, today: date) -> Finding:
    advice = "Choose another: the *_MODEL settings and the team files name it."
    if status.lifecycle == "unknown":
        return Finding("model", "warning", f"{status.model} is not known there", advice)
    if status.lifecycle == "retired":
        return Finding("model", "problem", f"{status.model} is retired", advice)
    ends = _date(status.retires_at)
    if ends is None:
        return Finding("model", "ok", f"{status.model}, {status.lifecycle}")
    found = f"{status.model} retires on {ends}, in {(ends - today).days} days"
    soon = status.lifecycle == "deprecated" or ends - today < SOON
    return Finding("model", "warning" if soon else "ok", found, advice if soon else "")


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _clock(ahead: timedelta | None) -> Finding:
    if ahead is None:
        return Finding("clock", "ok", "not compared: the server does not tell the time")
    seconds = ahead.total_seconds()
    if abs(seconds) <= LEEWAY.total_seconds():
        return Finding("clock", "ok", "agrees with the server's")
    found = f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the server's"
    return Finding("clock", "warning", found, "Set it (NTP): tokens begin and end by it.")


_CHECKS: dict[str, tuple[Callable[[Settings], Iterator[Finding]], tuple[str, ...]]] = {
    "teams": (_teams, ("PROMPTS_DIR",)),
    "tokens": (_secret, ("JWT_", "DATA_DIR")),
    "data": (_data, ("DATA_DIR",)),
    "port": (_port, ("API_HOST", "API_PORT")),
    "claude": (_claude, ("ANTHROPIC_",)),
}
"""What is looked at, and the beginnings of the settings that it needs: with one of them wrong
another place would be looked at, or the key sent to another server.
"""
