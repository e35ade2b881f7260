"""The gate before any MCP server: its tools are listed with their bounds, each call is gated.

`definition` says what a server's tool is to the gate, `pins` notices when that changes, `upstream`
talks to the servers, `gateway` to the client. A tool that no setting names waits for a person; one
whose definition changed since it was pinned is denied. Tests: `tests/integration/mcp`.
"""
