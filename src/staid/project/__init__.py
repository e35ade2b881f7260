"""Settings and composition: the one room that knows which adapter stands behind which port.

Decides nothing about answers, rights or effects; puts the parts of one project together, lazily,
and hands them to the runtime. Invariants: one project is one store; a setting that is not known is
an error; secrets are references, never values. Tests: `tests/unit/project`.
"""
