"""Who is looking, and whether a request may come in at all.

Decides which principal a session stands for, and refuses foreign hosts and origins. Never decides
what that principal may read. Invariants: links and session ids are kept as hashes only; a link dies
on use; rights are resolved anew on every request. Tests: `tests/integration/server/test_auth.py`,
`test_shield.py`.
"""
