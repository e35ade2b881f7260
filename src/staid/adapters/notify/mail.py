"""Notices as e-mail over SMTP."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import unquote, urlsplit

from staid.domain.errors.notify import NotDelivered
from staid.domain.notice import Notice

TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class Mail:
    """Sends a plain message; its Message-ID is the notice's, the same over every retry."""

    server: str = field(repr=False)
    """`smtp://user:password@host:587` (STARTTLS where offered) or `smtps://…:465`."""
    sender: str
    to: tuple[str, ...]

    def send(self, notice: Notice) -> str:
        """Hand the message to the server for every recipient; raise `NotDelivered`."""
        said = letter(notice, self.sender, self.to)
        try:
            with self._connected() as server:
                refused = server.send_message(said)
        except (OSError, smtplib.SMTPException) as error:
            raise NotDelivered(f"{type(error).__name__}: {_words(error)}") from error
        if refused:
            raise NotDelivered(f"the server refused {len(refused)} of {len(self.to)} recipients")
        return str(said["Message-ID"])

    def _connected(self) -> smtplib.SMTP:
        parts = urlsplit(self.server)
        host = parts.hostname or "localhost"
        context = ssl.create_default_context()
        if parts.scheme == "smtps":
            server = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT)
        try:
            self._introduce(server, parts.username, parts.password, context)
        except BaseException:
            server.close()
            raise
        return server

    def _introduce(
        self, server: smtplib.SMTP, user: str | None, password: str | None, context: ssl.SSLContext
    ) -> None:
        server.ehlo()
        secure = isinstance(server, smtplib.SMTP_SSL)
        if not secure and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
            secure = True
        if user:
            if not secure:
                message = "the server offers no encryption, so no password is sent to it"
                raise smtplib.SMTPException(message)
            server.login(unquote(user), unquote(password or ""))


def letter(notice: Notice, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """Return the message: every header in one line, whatever the notice says."""
    said = EmailMessage(policy=SMTP)
    said["From"] = Address(addr_spec=sender)
    said["To"] = [Address(addr_spec=each) for each in to]
    said["Subject"] = " ".join(f"[{notice.project}] {notice.title}".split())[:200]
    said["Message-ID"] = f"<{notice.id}@{sender.partition('@')[2] or 'staid'}>"
    said["Date"] = notice.at
    said["Auto-Submitted"] = "auto-generated"
    lines = [*notice.lines, ""]
    if notice.link:
        lines += ["Sign in and decide:", notice.link, ""]
    lines.append(f"{notice.about} · {notice.id}")
    said.set_content("\n".join(lines))
    return said


def _words(error: Exception) -> str:
    # An SMTP error repeats what the server said, never the password.
    return " ".join(str(error).split())[:300]
