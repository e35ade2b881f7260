"""The gate before real MCP servers, seen by a real client over stdin and stdout."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from staid.adapters.frameworks.mcp.pins import FILE
from staid.domain.call import CallRecord, CallState
from staid.project.deciding import record_decision
from staid.project.project import Project

T = TypeVar("T")
Connect = Callable[..., AbstractAsyncContextManager[Client]]


def words(result: CallToolResult) -> str:
    """Return what a result says."""
    return " ".join(block.text for block in result.content if isinstance(block, TextContent))


def talk(connect: Connect, work: Callable[[Client], Awaitable[T]], *options: str) -> T:
    """Do something with a client of the gateway, and end both."""

    async def run() -> T:
        async with connect(*options) as client:
            return await work(client)

    return asyncio.run(run())


def recorded(folder: Path) -> list[CallRecord]:
    """Return every call in the project's ledger."""
    project = Project(folder)
    try:
        runs = [record.run for record in project.wiring.records.runs()]
        return [call for run in reversed(runs) for call in project.calls(run)]
    finally:
        project.close()


def approve(folder: Path, approval: str, decision: str = "approve") -> None:
    """Let the lead decide."""
    project = Project(folder)
    try:
        record_decision(project, approval, decision, approver="user:lead")
    finally:
        project.close()


def test_tools_carry_their_bounds_and_denied_ones_are_not_there(connect: Connect) -> None:
    """A client sees each tool under the server's own name with its bounds; a denied one not."""

    async def work(client: Client) -> dict[str, str]:
        return {t.name: t.description or "" for t in (await client.list_tools()).tools}

    tools = talk(connect, work)
    assert "edit_file" not in tools
    assert tools["read_text_file"].endswith("reads only; every call is recorded.")
    assert "a person has to approve" in tools["write_file"]
    assert "policy's bounds" in tools["create_entities"]


def test_a_read_gives_what_the_server_gives(
    connect: Connect, servers: Path, docs: Path, folder: Path
) -> None:
    """What the gateway returns for a read is what the server itself returns, and is recorded."""
    asked = {"path": str(docs / "hours.txt")}

    async def direct() -> object:
        command = StdioServerParameters(
            command=str(servers / "mcp-server-filesystem"), args=[str(docs)]
        )
        async with Client(command) as client:
            return (await client.call_tool("read_text_file", asked)).model_dump(exclude={"meta"})

    async def work(client: Client) -> object:
        return (await client.call_tool("read_text_file", asked)).model_dump(exclude={"meta"})

    assert talk(connect, work) == asyncio.run(direct())
    (call,) = recorded(folder)
    assert (call.call.tool, call.state) == ("files.read_text_file", CallState.DONE)


def test_an_unnamed_tool_waits_for_a_person_and_runs_once(
    connect: Connect, docs: Path, folder: Path
) -> None:
    """A write that no setting names waits for a person, then runs once, in a later session too."""
    asked = {"path": str(docs / "new.txt"), "content": "hello"}

    async def work(client: Client) -> str:
        return words(await client.call_tool("write_file", asked))

    told = talk(connect, work)
    approval = re.findall(r"apr_\w+", told)[0]
    assert "waits for a person" in told
    assert not (docs / "new.txt").exists()
    assert approval in talk(connect, work)  # the same request, not a second one
    approve(folder, approval)
    assert "Successfully wrote" in talk(connect, work)
    assert (docs / "new.txt").read_text() == "hello"
    (docs / "new.txt").unlink()
    again = talk(connect, work)
    assert "waits for a person" in again
    assert approval not in again
    assert not (docs / "new.txt").exists()


def test_a_denied_request_tells_the_client_and_does_nothing(
    connect: Connect, docs: Path, folder: Path
) -> None:
    """A person's no, given while the call waits, reaches the client as the tool's result."""
    asked = {"path": str(docs / "no.txt"), "content": "x"}

    async def work(client: Client) -> str:
        waiting = asyncio.ensure_future(client.call_tool("write_file", asked))
        project = Project(folder)
        try:
            open_ = project.wiring.ledger.approvals(CallState.PENDING)
            while not open_:
                await asyncio.wait([waiting], timeout=0.05)
                open_ = project.wiring.ledger.approvals(CallState.PENDING)
        finally:
            project.close()
        approve(folder, open_[0].id, "deny")
        return words(await waiting)

    assert "decided against" in talk(connect, work, "--wait", "30")
    assert not (docs / "no.txt").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("write_file", {"path": "/x"}, "'content' is a required property"),
        ("read_text_file", {"path": "/x", "sneaky": 1}, "'sneaky' was unexpected"),
        ("read_text_file", {"path": 7}, "7 is not of type 'string'"),
        ("edit_file", {"path": "/x", "edits": []}, "not a tool this agent may use"),
        ("no_such_tool", {}, "not a tool this agent may use"),
    ],
)
def test_what_does_not_fit_is_denied_and_recorded(
    connect: Connect, folder: Path, name: str, arguments: dict[str, object], says: str
) -> None:
    """Arguments outside the schema, denied and unknown tools reach no server."""

    async def work(client: Client) -> str:
        result = await client.call_tool(name, arguments)
        assert result.is_error
        return words(result)

    assert says in talk(connect, work)
    assert [call.state for call in recorded(folder)] == [CallState.DENIED]


def test_a_changed_definition_is_denied_until_it_is_pinned_again(
    connect: Connect, docs: Path, folder: Path
) -> None:
    """A tool that is not what it was when it was pinned (a rug pull) is denied, a read, too."""

    async def read(client: Client) -> str:
        listed = {t.name: t.description or "" for t in (await client.list_tools()).tools}
        result = await client.call_tool("read_text_file", {"path": str(docs / "hours.txt")})
        return f"{listed['read_text_file'][-80:]} {words(result)}"

    assert "Open from 8" in talk(connect, read)
    lock = folder / FILE
    pins = json.loads(lock.read_text())
    pins["servers"]["files"]["read_text_file"] = "0" * 64
    lock.write_text(json.dumps(pins))
    told = talk(connect, read)
    assert "its definition changed" in told
    assert "Open from 8" not in told
    assert recorded(folder)[-1].state is CallState.DENIED
    command = [sys.executable, "-m", "staid", "mcp-gateway", "--as", "user:ada", "--pin", "--json"]
    said = subprocess.run([*command, "--project", str(folder)], check=True, capture_output=True)
    assert {tool["pin"] for tool in json.loads(said.stdout)["tools"]} == {"pinned"}
    assert "Open from 8" in talk(connect, read)


def test_an_error_of_a_writing_tool_is_in_doubt_and_not_repeated(
    connect: Connect, docs: Path, folder: Path
) -> None:
    """A server's error does not say that nothing happened: a person finds out, nobody retries."""
    asked = {"source": str(docs / "missing"), "destination": str(docs / "there")}

    async def work(client: Client) -> str:
        return words(await client.call_tool("move_file", asked))

    assert "Nobody knows" in talk(connect, work)
    (docs / "missing").write_text("now it is there")
    assert "Nobody knows" in talk(connect, work)
    assert not (docs / "there").exists()
    assert [call.state for call in recorded(folder)] == [CallState.IN_DOUBT]


def test_a_second_server_keeps_its_own_state(connect: Connect, folder: Path) -> None:
    """Two servers behind one gateway: a write to the second is there for its own reads."""
    entity = {"name": "Ada", "entityType": "customer", "observations": ["pays yearly"]}

    async def work(client: Client) -> str:
        await client.call_tool("create_entities", {"entities": [entity]})
        return words(await client.call_tool("read_graph", {}))

    assert "pays yearly" in talk(connect, work)
    assert {call.call.tool.partition(".")[0] for call in recorded(folder)} == {"memory"}


def test_resources_and_prompts_only_where_a_setting_passes_them_on(
    connect: Connect, servers: Path, folder: Path
) -> None:
    """Resources and prompts stay with their server, unless `resources = true` says otherwise."""
    file = folder / "staid.toml"
    command = json.dumps([str(servers / "mcp-server-everything")])
    closed = f"{file.read_text()}\n[mcp.everything]\ncommand = {command}\n"

    async def work(client: Client) -> tuple[int, int, str]:
        resources = (await client.list_resources()).resources
        prompts = (await client.list_prompts()).prompts
        text = str(await client.read_resource(resources[0].uri)) if resources else ""
        return len(resources), len(prompts), text

    file.write_text(closed)
    assert talk(connect, work) == (0, 0, "")
    file.write_text(f"{closed}resources = true\n")
    resources, prompts, text = talk(connect, work)
    assert resources
    assert prompts
    assert text


def test_servers_that_cannot_be_used_are_told(folder: Path) -> None:
    """No server, one that does not start, and unreadable pins: a coded error, nothing on stdout."""

    def said() -> tuple[int, str]:
        command = [sys.executable, "-m", "staid", "mcp-gateway", "--as", "user:ada"]
        done = subprocess.run(
            [*command, "--project", str(folder)], capture_output=True, text=True, check=False
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    file = folder / "staid.toml"
    whole = file.read_text()
    (folder / FILE).write_text("{")
    assert said()[0] == 2
    file.write_text(whole.split("[mcp.files]")[0])
    (folder / FILE).unlink()
    code, told = said()
    assert (code, "ST-452" in told) == (2, True)
    file.write_text(whole.split("[mcp.files]")[0] + '[mcp.gone]\ncommand = ["no-such-server"]\n')
    code, told = said()
    assert (code, "ST-450" in told) == (5, True)
    file.write_text(whole.split("[mcp.files]")[0] + "[mcp.gone]\n")
    assert "either a command or a url" in said()[1]
