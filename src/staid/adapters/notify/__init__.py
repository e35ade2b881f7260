"""Ways to reach people: signed webhooks, Slack, e-mail. None of them can decide anything.

Each sends one notice and says whether it arrived; what is sent when, and what is tried again,
`staid.project.notifying` decides. Invariant: a notice carries no secret that opens anything.
Tests: `tests/integration/notify`.
"""
