"""Who is signed in, how one gets in, and how one gets out."""

from __future__ import annotations

from typing import Any

import pytest

from staid.project.project import Project

TWINS = ["/", "/runs", "/approvals", "/handoffs", "/api/runs", "/api/approvals", "/api/handoffs"]


@pytest.mark.parametrize("path", TWINS)
def test_nothing_without_a_session(office: Any, path: str) -> None:
    """Without a session every page and its twin answer 401 with the next step, and no data."""
    answer = office.visitor().get(path)
    assert answer.status_code == 401
    assert "ST-610" in answer.text
    assert "staid serve" in answer.text


def test_a_link_is_good_once(office: Any) -> None:
    """The second browser to open a link is not signed in: the link died on its first use."""
    secret = office.sessions.invite("user:lead")
    first, second = office.visitor(), office.visitor()
    assert "user:lead" in first.get(f"/sign-in?token={secret}").text
    refused = second.get(f"/sign-in?token={secret}")
    assert (refused.status_code, "ST-611" in refused.text) == (401, True)
    assert second.get("/runs").status_code == 401


def test_opening_the_link_again_in_the_same_browser_is_no_error(office: Any) -> None:
    """Who is signed in already and opens the spent link again just lands on the first page."""
    secret = office.sessions.invite("user:lead")
    client = office.visitor()
    client.get(f"/sign-in?token={secret}")
    assert client.get(f"/sign-in?token={secret}").status_code == 200


def test_a_link_dies_after_fifteen_minutes(office: Any) -> None:
    """A link that nobody opened for a quarter of an hour signs nobody in."""
    secret = office.sessions.invite("user:lead")
    office.clock.forward(minutes=15)
    assert office.visitor().get(f"/sign-in?token={secret}").status_code == 401


def test_a_session_ends_after_twelve_hours(office: Any) -> None:
    """A session lasts a working day and not a moment longer."""
    client = office.signed_in("user:lead")
    office.clock.forward(hours=12, seconds=-1)
    assert client.get("/runs").status_code == 200
    office.clock.forward(seconds=1)
    assert client.get("/runs").status_code == 401


def test_signing_out_ends_the_session_on_the_server(office: Any) -> None:
    """A copy of the cookie is worth nothing after signing out."""
    client = office.signed_in("user:lead")
    copied = dict(client.cookies)
    assert client.post("/sign-out").status_code == 200
    thief = office.visitor()
    thief.cookies.update(copied)
    assert thief.get("/runs").status_code == 401


def test_signing_in_always_makes_a_new_session(office: Any) -> None:
    """A session id planted beforehand is not the one that gets signed in."""
    client = office.visitor()
    client.cookies.set("staid_session", "planted")
    client.get(f"/sign-in?token={office.sessions.invite('user:lead')}")
    thief = office.visitor()
    thief.cookies.set("staid_session", "planted")
    assert thief.get("/runs").status_code == 401


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_cookie_is_out_of_reach(office: Any, scheme: str, *, secure: bool) -> None:
    """The cookie is HttpOnly and SameSite=Lax, and over https Secure and bound to the host."""
    client = office.visitor(scheme)
    secret = office.sessions.invite("user:lead")
    answer = client.get(f"/sign-in?token={secret}", follow_redirects=False)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert ("Secure" in cookie) is secure
    assert cookie.startswith("__Host-") is secure


def test_a_principal_that_was_disabled_is_out_at_once(office: Any) -> None:
    """A change in the directory holds on the next request of a session that is under way."""
    client = office.signed_in("user:lead")
    project: Project = office.project
    file = project.settings.path("directory.yaml")
    file.write_text(file.read_text().replace("groups: [group:leads]", "disabled: true"))
    assert client.get("/runs").status_code == 401


def test_nobody_can_name_the_asker(office: Any) -> None:
    """Whatever a form or a body says about who asks, the run belongs to who is signed in."""
    client = office.signed_in("user:ada")
    form = {"text": "What is the refund policy?", "as": "user:lead", "asker": "user:lead"}
    client.post("/ask", data=form)
    client.post("/api/ask", json={**form, "principal": "user:lead", "groups": ["group:leads"]})
    assert [run["asker"] for run in client.get("/api/runs").json()["runs"]] == ["user:ada"] * 2
    assert office.signed_in("user:lead").get("/api/runs").json()["runs"] == []


def test_secrets_are_kept_as_hashes_only(office: Any) -> None:
    """Neither a link nor a session id can be read out of the server's own memory of them."""
    secret = office.sessions.invite("user:lead")
    session = office.sessions.exchange(secret)
    held = repr(office.sessions._links) + repr(office.sessions._sessions)
    assert secret not in held
    assert session not in held
