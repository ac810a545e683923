"""E-mails with the standard library: what one looks like, and handing it to the mail server of the settings.

What belongs here: headers, parts, attachments, SMTP. What does not: the words (messages.py), trying again (delivery.py).
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from email_validator import EmailNotValidError, validate_email

from reportgen_dagster.errors import DeliveryError, DeliveryRefusedError
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import secrets
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.messages import MadeFile, Message, as_html, as_text, chunks_of, subject
from reportgen_dagster.settings import Settings
from reportgen_dagster.sizes import byte_count

STEP_SECONDS = 10  # that the mail server may take for each answer
_PERMANENT = 500


def send(context: Context, message: Message, to: str, formats: list[str] | None) -> None:
    """Send an e-mail to one address.

    Raises:
        DeliveryError: If the mail server is away, is not set up, or does not take it now.
        DeliveryRefusedError: If the mail server refuses this address or message for good.
    """
    settings = context.settings
    if not settings.smtp_url or not settings.smtp_sender:
        raise DeliveryError(
            "This service sends no e-mails.", hint="Set REPORTGEN_SMTP_URL and REPORTGEN_SMTP_SENDER."
        )
    mail = compose(context, message, to, formats)
    with _told_as_ours(), _server(settings) as server:
        server.send_message(mail, from_addr=settings.smtp_sender, to_addrs=[_plain(to)])


def compose(context: Context, message: Message, to: str, formats: list[str] | None) -> EmailMessage:
    """Return the e-mail: text, HTML, and the files up to a bound; links for what is beyond.

    Raises:
        DeliveryRefusedError: If there are no files to send, or the address is none.
    """
    attached = _up_to(message.wanted_files(formats), byte_count(context.settings.attachment_limit))
    brought = {file.format for file in attached}
    links = {name: link for name, link in message.links.items() if name not in brought}
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = subject(message)
    mail["From"] = Address(addr_spec=context.settings.smtp_sender)
    mail["To"] = Address(addr_spec=_plain(to))
    mail["Date"] = format_datetime(utc_now())
    # The same for each try, so that mail readers show it once.
    mail["Message-ID"] = f"<{message.id}@{context.settings.smtp_sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(as_text(message, links))
    mail.add_alternative(as_html(message, links), subtype="html")
    for file in attached:
        kind, _, subtype = file.media_type.partition("/")
        content = b"".join(chunks_of(context, file))
        mail.add_attachment(content, maintype=kind, subtype=subtype, filename=file.name)
    return mail


def _plain(address: str) -> str:
    """Return an address as every mail server reads it: a domain of other letters in ASCII."""
    try:
        checked = validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise DeliveryRefusedError(f"This is no e-mail address: {error}") from None
    return checked.ascii_email or checked.normalized


def _up_to(files: Sequence[MadeFile], limit: int) -> list[MadeFile]:
    """Return the files that fit into a bound together, the smallest first."""
    chosen, size = [], 0
    for file in sorted(files, key=lambda one: one.size_bytes):
        size += file.size_bytes
        if size <= limit:
            chosen.append(file)
    return chosen


def greet(settings: Settings) -> None:
    """Connect to the mail server as for an e-mail, and send none.

    Raises:
        DeliveryError: If it does not answer, or not to us.
    """
    with _told_as_ours(), _server(settings) as server:
        server.noop()


@contextmanager
def _server(settings: Settings) -> Iterator[smtplib.SMTP]:
    """Connect to the mail server and sign in, if it has a user."""
    host, port, user = settings.smtp_server
    safe = ssl.create_default_context()
    if settings.smtp_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=STEP_SECONDS, context=safe)
    else:
        server = smtplib.SMTP(host, port, timeout=STEP_SECONDS)
    with server:
        if settings.smtp_security == "starttls":
            server.starttls(context=safe)
        if user:
            given = settings.smtp_password
            server.login(
                user,
                given.get_secret_value() if given else secrets.read_secret(settings, secrets.SMTP_PASSWORD),
            )
        yield server


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Turn what the mail server says into an error of ours."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        ((code, words),) = error.recipients.values()
        raise _refusal("The mail server refuses the address", code, words) from None
    except smtplib.SMTPDataError as error:
        raise _refusal("The mail server refuses the message", error.smtp_code, error.smtp_error) from None
    except smtplib.SMTPAuthenticationError as error:
        hint = "Mend the user in REPORTGEN_SMTP_URL or REPORTGEN_SMTP_PASSWORD."
        raise DeliveryError(
            f"The mail server does not let us sign in ({error.smtp_code}).", hint=hint
        ) from None
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(f"The mail server says {_words(error.smtp_code, error.smtp_error)}.") from None
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryError(f"The mail server does not work ({type(error).__name__}: {error}).") from None


def _refusal(what: str, code: int, words: bytes | str) -> DeliveryError:
    """Return an error; codes below 500 say that it may be tried again."""
    kind = DeliveryRefusedError if code >= _PERMANENT else DeliveryError
    return kind(f"{what}: {_words(code, words)}.")


def _words(code: int, words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return f"{code} {' '.join(text.split())[:200]}"
