"""`staid serve`: where it listens, what it prints, how it stops."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from staid.cli import run
from staid.domain.errors import AddressUnusable, UsageInvalid
from staid.project.project import Project
from staid.server.listening import bind, origin


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "8.8.8.8"])
def test_a_public_address_is_refused(host: str) -> None:
    """What other machines can reach is refused, with a way that is safe."""
    with pytest.raises(UsageInvalid) as refused:
        bind(host, 0)
    assert "ssh -L" in refused.value.hint_text


def test_a_name_is_not_an_address() -> None:
    """A host name is refused, since who answers to it may change."""
    with pytest.raises(UsageInvalid):
        bind("staid.example", 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_a_loopback_address_is_taken(host: str) -> None:
    """Every loopback address works, and 0 takes a free port."""
    with bind(host, 0) as listener:
        assert re.fullmatch(r"http://127\.0\.0\.[12]:\d+", origin(listener))


def test_a_port_in_use_is_a_coded_error() -> None:
    """The second to ask for a port is told so, with the next step."""
    with bind("127.0.0.1", 0) as first, pytest.raises(AddressUnusable) as refused:
        bind("127.0.0.1", first.getsockname()[1])
    assert "another process listens there" in refused.value.message
    assert "--port" in refused.value.hint_text


def test_somebody_has_to_be_named(
    make_project: Callable[..., Project], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--as`, or for somebody unknown, nothing is served."""
    folder = str(make_project().settings.directory_path)
    assert run(["serve", "--project", folder]) == 2
    assert run(["serve", "--project", folder, "--as", "user:nobody"]) == 2
    said = capsys.readouterr().err
    assert "ST-601" in said
    assert "ST-210" in said


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_serve_signs_in_and_stops_cleanly(
    make_project: Callable[..., Project], stop: signal.Signals
) -> None:
    """The printed link signs in once; a signal ends the process with exit code 0."""
    folder = make_project().settings.directory_path
    process = started(folder)
    try:
        announced = json.loads(process.stdout.readline())  # pyright: ignore[reportOptionalMemberAccess]  # a pipe
        opener = build_opener(HTTPCookieProcessor(CookieJar()))
        with opener.open(announced["sign_in"], timeout=30) as page:
            assert "user:ada" in page.read().decode()
        with pytest.raises(HTTPError) as spent:
            build_opener().open(announced["sign_in"], timeout=30)
        assert spent.value.code == 401
        spent.value.close()
    finally:
        process.send_signal(stop)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert announced["sign_in"] in said
    with socket.socket() as probe:
        port = int(announced["url"].rpartition(":")[2])
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def started(folder: Path) -> subprocess.Popen[str]:
    """Start `staid serve` on a free port."""
    words = ["serve", "--as", "user:ada", "--port", "0", "--json", "--project", str(folder)]
    code = "import sys; from staid.cli import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
