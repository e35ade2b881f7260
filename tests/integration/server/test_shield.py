"""What stands before every handler: host, origin, size; and the headers after it."""

from __future__ import annotations

from typing import Any

import pytest

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


def every_page(office: Any) -> list[str]:
    """Return an address for every GET route there is, with ids that exist."""
    asked = office.pending("user:ada")
    known = {"{run}": asked["run"], "{approval}": asked["id"]}
    paths: set[str] = set()
    for path, methods in routes(office):
        if "GET" in methods:
            for name, value in known.items():
                path = path.replace(name, value)  # noqa: PLW2901 - the template filled in
            paths.add(path)
    return [*sorted(paths), "/no-such-page", "/runs/run_none", "/static/staid.css", "/static/none"]


def routes(office: Any) -> list[tuple[str, set[str]]]:
    """Return every address of the application with its methods, from its own description."""
    from staid.server.api.routes import router as api
    from staid.server.console.routes import router as console

    found = [*api.routes, *console.routes]
    return [(route.path, route.methods) for route in found]  # pyright: ignore[reportAttributeAccessIssue]  # APIRoute


@pytest.mark.parametrize("who", [None, "user:ada", "user:lead"])
def test_every_response_carries_the_policy(office: Any, who: str | None) -> None:
    """Pages, JSON, errors and files, signed in or not: each has the strict policy and nosniff."""
    client = office.signed_in(who) if who else office.visitor()
    pages = every_page(office)
    assert len(pages) > 15
    for path in pages:
        headers = client.get(path).headers
        assert headers["content-security-policy"] == POLICY, path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "same-origin", path
        cached = "no-cache" if path.startswith("/static/") else "no-store"
        assert headers["cache-control"] == cached, path


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Origin": "http://127.0.0.1:8420.evil.example"},
    {"Origin": "http://127.0.0.1:8420", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://127.0.0.1:8420", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_unsafe_methods_from_elsewhere_change_nothing(office: Any, headers: dict[str, str]) -> None:
    """With a valid session, every form sent by another site is refused before its handler."""
    asked = office.pending("user:ada")
    client = office.signed_in("user:lead")
    del client.headers["Origin"]
    form = {"decision": "approve", "seen": asked["digest"]}
    for path, methods in routes(office):
        if "POST" in methods:
            answer = client.post(
                path.replace("{approval}", asked["id"]), data=form, headers=headers
            )
            assert (answer.status_code, "ST-612" in answer.text) == (403, True), path
    assert office.refunds == []
    assert client.get(f"/api/approvals/{asked['id']}").json()["state"] == "pending"


def test_a_form_of_the_console_itself_comes_through(office: Any) -> None:
    """What a browser sends from our own page is accepted: same origin by either header."""
    client = office.signed_in("user:ada")
    form = {"text": "What is the refund policy?"}
    site = {"Origin": "http://127.0.0.1:8420", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/ask", data=form, headers=site).status_code == 200


def test_json_without_a_browser_comes_through(office: Any) -> None:
    """A program sends neither header; its JSON is accepted, a form without them is not."""
    client = office.signed_in("user:ada")
    del client.headers["Origin"]
    body = {"text": "What is the refund policy?"}
    assert client.post("/api/ask", json=body).status_code == 200
    assert client.post("/ask", data=body).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8420", "127.0.0.1.evil.example", "", "["]
)
def test_another_host_name_is_refused(office: Any, host: str) -> None:
    """A name that somebody pointed at this machine gets nothing, not even the sign-in page."""
    secret = office.sessions.invite("user:lead")
    client = office.signed_in("user:lead")
    for path in ("/runs", "/api/runs", f"/sign-in?token={secret}", "/static/staid.css"):
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, "ST-612" in answer.text) == (403, True)
    assert "user:lead" in office.visitor().get(f"/sign-in?token={secret}").text


@pytest.mark.parametrize("host", ["localhost:8420", "127.0.0.1", "[::1]:8420"])
def test_names_of_this_machine_are_fine(office: Any, host: str) -> None:
    """Every usual name of the loopback address is served."""
    assert office.signed_in("user:lead").get("/runs", headers={"Host": host}).status_code == 200


def test_a_huge_body_is_refused(office: Any) -> None:
    """A body beyond the limit is refused with a code, announced or not."""
    client = office.signed_in("user:ada")
    large = b"x" * (300 * 1024)
    announced = client.post("/ask", content=large)
    assert (announced.status_code, "ST-601" in announced.text) == (400, True)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    streamed = client.post(
        "/ask", content=(large[n : n + 9] for n in range(0, 300_000, 9)), headers=form
    )
    assert streamed.status_code == 400
    assert client.get("/api/runs").json()["runs"] == []


def test_an_unforeseen_failure_is_told_without_a_traceback(
    office: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug answers a coded 503 with all headers; its details are in the operator's log alone."""
    client = office.signed_in("user:ada")
    monkeypatch.setattr("staid.server.reader.Reader.runs", broken)
    answer = client.get("/runs")
    assert answer.status_code == 503
    assert "ST-000" in answer.text
    assert "a detail inside" not in answer.text
    assert answer.headers["content-security-policy"] == POLICY
    assert "a detail inside" in caplog.text


def broken(*_: object) -> None:
    """Fail as a bug does."""
    raise RuntimeError("a detail inside")
