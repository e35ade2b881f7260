"""`staid serve`: the console and the HTTP API, for one person and one machine."""

from __future__ import annotations

from typing import Annotated

import typer

from staid.cli import output
from staid.cli.ask import AsOption
from staid.domain.errors import UsageInvalid


def serve(
    as_: AsOption = "",
    host: Annotated[str, typer.Option(help="A loopback address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8420,
) -> None:
    """Print a sign-in link, good once and for 15 minutes. Example: staid serve --as user:lead."""
    if not as_:
        hint = "Say whom the sign-in link stands for: staid serve --as user:lead"
        raise UsageInvalid(detail="nobody could sign in", hint=hint)
    from staid.server.listening import bind, listen, origin

    project = output.project()
    principal = project.wiring.identify(as_, None).principal.token
    with bind(host, port) as listener:
        base = origin(listener)

        def ready(link: str) -> None:
            output.say(
                f"Staid serves {project.settings.project.name} on {base}\n"
                f"Sign in as {principal}, once and within 15 minutes:\n\n  {link}\n\n"
                "Stop with Ctrl-C."
            )
            if output.as_json():
                output.emit({"url": base, "as": principal, "sign_in": link}, [])

        listen(project, listener, principal, ready)
    output.say("Stopped; nothing was left half done.")
