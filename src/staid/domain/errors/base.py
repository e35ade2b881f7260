"""Every error of Staid: one base, a stable code, a message, and the next step.

The first paragraph of a class's docstring *is* its message; `{name}` takes the keyword arguments.
Codes never change meaning and are never used again. `docs/errors.md` is written from this folder.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class StaidError(Exception):
    """Something went wrong in Staid."""

    code: ClassVar[str] = "ST-000"
    hint: ClassVar[str] = "Run `staid doctor` and read what it reports."
    exit_code: ClassVar[int] = 5
    """Of the CLI: 1 check failed, 2 usage, 3 cannot tell, 4 not permitted, 5 system."""

    def __init__(self, **values: object) -> None:
        """Build the message from the docstring; a `hint=` value replaces the class's hint."""
        self.hint_text = str(values.pop("hint", self.hint)).format(**values)
        template = inspect.cleandoc(type(self).__doc__ or "").split("\n\n")[0].replace("\n", " ")
        self.values = values
        self.message = template.format(**values)
        super().__init__(f"{self.code}: {self.message}")
