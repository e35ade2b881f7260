"""Errors 6xx: usage and HTTP."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class UsageInvalid(StaidError):
    """{detail}"""

    code = "ST-601"
    hint = "See --help of the command."
    exit_code = 2


class NotPermitted(StaidError):
    """{who} may not do this: {detail}"""

    code = "ST-602"
    hint = "Ask somebody who may."
    exit_code = 4


class NotSignedIn(StaidError):
    """Nobody is signed in here, or the session is over."""

    code = "ST-610"
    hint = "Open the sign-in link that `staid serve` printed; each start prints a new one."
    exit_code = 4


class SignInLinkInvalid(StaidError):
    """This sign-in link is not valid: it was used, or is older than {minutes} minutes."""

    code = "ST-611"
    hint = "Start `staid serve` again; it prints a new link."
    exit_code = 4


class RequestForeign(StaidError):
    """The request does not come from this console: {detail}"""

    code = "ST-612"
    hint = "Open the console itself and try again there; nothing was changed."
    exit_code = 4


class AddressUnusable(StaidError):
    """Nothing can be served on {address}: {detail}"""

    code = "ST-613"
    hint = "Name another port, for example --port 8421, or 0 for a free one."
    exit_code = 2
