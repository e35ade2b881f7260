"""Real MCP servers from the npm registry, a real client, and a project with the gate between."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

VERSION = "2026.8.31"
SERVERS = [
    f"@modelcontextprotocol/server-{name}@{VERSION}"
    for name in ("filesystem", "memory", "everything")
]
DIRECTORY = """
principals:
  user:ada: {groups: [group:customers]}
  user:lead: {groups: [group:leads]}
groups: {group:leads: {}, group:customers: {}}
"""
TOML = """
[project]
name = "desk"
[directory]
file = "directory.yaml"
[gates]
approvers = ["group:leads"]
[mcp.files]
command = {files}
read = ["read_*", "list_*", "get_file_info"]
write = ["create_directory", "move_file"]
deny = ["edit_file"]
[mcp.memory]
command = {memory}
read = ["read_graph", "search_nodes", "open_nodes"]
write = ["create_entities"]
env = {{MEMORY_FILE_PATH = "{folder}/memory.jsonl"}}
"""

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(scope="session")
def servers() -> Path:
    """Install the reference servers once for all workers, and return where their commands are."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: apt-get install nodejs npm")
    folder = Path(tempfile.gettempdir()) / f"staid-mcp-servers-{VERSION}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            words = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix"]
            subprocess.run([*words, str(folder), *SERVERS], check=True, timeout=240)
            (folder / "made").touch()
    return folder / "node_modules" / ".bin"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Give a folder that the file server may work in."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "hours.txt").write_text("Open from 8 to 18.\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path, docs: Path, servers: Path) -> Path:
    """Give a project with two servers behind its gateway."""
    home = tmp_path / "project"
    home.mkdir()
    files = json.dumps([str(servers / "mcp-server-filesystem"), str(docs)])
    memory = json.dumps([str(servers / "mcp-server-memory")])
    (home / "staid.toml").write_text(TOML.format(files=files, memory=memory, folder=home))
    (home / "directory.yaml").write_text(DIRECTORY)
    return home


@pytest.fixture
def connect(folder: Path) -> Connect:
    """Start `staid mcp-gateway` in a process of its own, and connect a real client to it."""

    @asynccontextmanager
    async def connected(*words: str) -> AsyncGenerator[Client]:
        arguments = ["-m", "staid", "mcp-gateway", "--as", "user:ada", "--wait", "0", *words]
        command = StdioServerParameters(
            command=sys.executable,
            args=[*arguments, "--project", str(folder)],
            env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
        )
        async with Client(command) as client:
            yield client

    return connected
