"""E-mails, through a mail server on loopback: what they bring, how they are sent, and that nothing gets into their headers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from reportgen_dagster.errors import BadDataError, Problem
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import attempts, outbox, report_runs
from reportgen_dagster.services.delivery import send_due
from reportgen_dagster.settings import Settings
from tests.services.conftest import World
from tests.services.delivering import (
    SENDER,
    Mailbox,
    certificate,
    deliver,
    let_pass,
    made,
    mailbox,
    rows,
    told,
)

ANN, BEN = "ann@example.com", "ben@example.com"
HOSTILE = (
    "daily\r\nBcc: eve@example.com",
    "daily\nX: 1\n\nbody",
    "<script>alert(1)</script>",
    "Tag für Tag 📈 " + "x" * 300,
    "=?utf-8?q?a=0D=0ABcc=3A_eve?=",
)


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as running:
        yield running


@pytest.fixture
def sending(world: World, box: Mailbox) -> Iterator[World]:
    with told(
        world,
        smtp_url=f"smtp://127.0.0.1:{box.port}",
        smtp_security="none",
        smtp_sender=SENDER,
        public_url="https://reports.example.com",
    ) as opened:
        yield opened


def mail_to(*addresses: str, **more: Any) -> dict[str, Any]:
    return {"email": {"to": list(addresses), **more}}


def parts(mail: EmailMessage) -> tuple[str, str, dict[str | None, bytes]]:
    """Return the text, the HTML and the attached files."""
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    files = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}
    return text.get_content(), html.get_content(), files


def test_a_success_brings_its_files_to_each_address(sending: World, box: Mailbox) -> None:
    deliver(sending, mail_to(ANN, BEN))
    run_id = made(sending)
    assert send_due(sending.context).delivered == 2
    assert sorted(box.envelopes) == [(SENDER, [ANN]), (SENDER, [BEN])]
    mail = next(one for one in box.mails if one["To"] == ANN)
    assert (mail["From"], mail["Subject"], mail["Auto-Submitted"]) == (
        SENDER,
        "daily: 2 rows",
        "auto-generated",
    )
    text, html, files = parts(mail)
    assert files == {"daily.csv": b"total\n2\n4\n"}
    assert run_id in text
    assert run_id in html
    assert "download-report" not in text, "what is attached needs no link"
    ids = {delivery_id for (delivery_id,) in rows(sending, "id")}
    assert {one["Message-ID"] for one in box.mails} == {f"<{one}@example.com>" for one in ids}


def test_what_is_too_large_has_a_link(sending: World, box: Mailbox) -> None:
    with told(sending, attachment_limit="9B") as small:
        deliver(small, mail_to(ANN))
        run_id = made(small)
        assert send_due(small.context).delivered == 1
    text, html, files = parts(box.mails[0])
    link = f"https://reports.example.com/api/download-report/{run_id}/?format=csv"
    assert (link in text, f'href="{link}"' in html, files) == (True, True, {})


def test_a_failure_tells_why_and_how_to_mend_it(sending: World, box: Mailbox) -> None:
    deliver(sending, mail_to(ANN))
    run = report_runs.run_report(sending.context, sending.ann, "daily")
    problems = [Problem(f"<b>&{number}", line=number, source="input") for number in range(1, 31)]
    error = BadDataError("Cells are broken.", problems=problems, hint="Mend the file.")
    attempts.fail(sending.context, sending.claim(run.id), error)
    send_due(sending.context)
    assert box.mails[0]["Subject"] == "daily failed"
    text, html, files = parts(box.mails[0])
    assert "Cells are broken." in text
    assert "Mend the file." in text
    assert "- input:1  <b>&1" in text
    assert "... and 10 more" in text
    assert "&lt;b&gt;&amp;1<" in html
    assert "<b>" not in html
    assert files == {}


def test_whatever_a_report_is_called_headers_stay_ours(sending: World, box: Mailbox) -> None:
    deliver(sending, mail_to(ANN))
    known = {"Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
    for name in HOSTILE:
        run_id = made(sending)
        sending.sql("UPDATE runs SET report_name = :name WHERE id = :id", name=name, id=run_id)
        assert send_due(sending.context).delivered == 1
        mail = box.mails.pop()
        assert set(mail.keys()) - {"X-Peer", "X-MailFrom", "X-RcptTo"} == known
        assert box.envelopes.pop() == (SENDER, [ANN])
        one_line = name.replace("\r", " ").replace("\n", " ").replace("=?", "= ?")
        assert mail["Subject"] == f"{one_line}: 2 rows"
        assert "<script>" not in parts(mail)[1]


def test_an_address_of_two_lines_gets_nothing(sending: World, box: Mailbox) -> None:
    deliver(sending, mail_to(ANN))
    made(sending)
    sending.sql(
        r"""UPDATE deliveries SET destination = '{"to": "ann@example.com\r\nBcc: eve@example.com"}'"""
    )
    assert "This is no e-mail address" in send_due(sending.context).dead[0]
    assert box.mails == []


def test_a_domain_of_other_letters_is_written_in_ascii(sending: World, box: Mailbox) -> None:
    deliver(sending, mail_to("ann@bücher.example.com"))
    made(sending)
    assert send_due(sending.context).delivered == 1
    assert box.envelopes == [(SENDER, ["ann@xn--bcher-kva.example.com"])]


def test_a_report_that_is_late_is_told(sending: World, box: Mailbox) -> None:
    deliver(sending, {**mail_to(ANN), "on": ["late"]}, fresh_within_seconds=60)
    assert outbox.note_late(sending.context, now=utc_now() + timedelta(hours=1)) == 1
    assert send_due(sending.context).delivered == 1
    text, html, files = parts(box.mails[0])
    assert (box.mails[0]["Subject"], files) == ("daily is late", {})
    assert "It has not been made yet" in text
    assert "It has not been made yet" in html


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"smtp_url": "smtp://ann:secret@example.com"}, "REPORTGEN_SMTP_PASSWORD"),
        ({"smtp_url": "smtp://ann@example.com", "smtp_security": "none"}, "in the clear"),
        ({"smtp_url": "https://example.com"}, "smtp://user@host:587"),
        ({"smtp_sender": "Ann"}, "@-sign"),
        ({"smtp_sender": "ann@example.com\nBcc: eve@example.com"}, "invalid characters"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(**given)


def test_an_address_that_is_refused_is_dead_at_once_and_holds_up_no_other(
    sending: World, box: Mailbox
) -> None:
    deliver(sending, mail_to(ANN, BEN, "carl@example.com"))
    made(sending)
    box.refusals = {BEN: "550 No such user", "carl@example.com": "450 Greylisted"}
    sent = send_due(sending.context)
    assert (sent.delivered, len(sent.dead), len(sent.failed)) == (1, 1, 1)
    (dead,) = outbox.list_deliveries(sending.context, sending.ann, state="dead")
    assert dead.where == BEN
    assert dead.error
    assert dead.error["detail"] == "The mail server refuses the address: 550 No such user."
    box.refusals = {}
    let_pass(sending, 10)
    assert send_due(sending.context).delivered == 1
    assert [to for _, to in box.envelopes] == [[ANN], ["carl@example.com"]]


def test_a_mail_server_that_is_away_or_unknown_is_told_and_tried_again(sending: World) -> None:
    deliver(sending, mail_to(ANN))
    made(sending)
    with told(sending, smtp_url="smtp://127.0.0.1:9") as away:
        assert "The mail server does not work (ConnectionRefusedError" in send_due(away.context).failed[0]
    let_pass(sending, 10)
    with told(sending, smtp_url="") as without:
        assert "sends no e-mails" in send_due(without.context).failed[0]
    (view,) = outbox.list_deliveries(sending.context, sending.ann)
    assert view.error
    assert view.error["hint"] == "Set REPORTGEN_SMTP_URL and REPORTGEN_SMTP_SENDER."


@pytest.mark.parametrize("where", ["setting", "secret"])
def test_a_user_signs_in_after_starttls(
    sending: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    tls, trusted = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    given = {"smtp_password": SecretStr("let me in")} if where == "setting" else {}
    monkeypatch.setenv("REPORTGEN_SECRET_SMTP_PASSWORD", "wrong" if given else "let me in")
    deliver(sending, mail_to(ANN))
    made(sending)
    with mailbox(tls) as safe:
        url = f"smtp://ann%40home@localhost:{safe.port}"
        with told(sending, smtp_url=url, smtp_security="starttls", **given) as opened:
            assert send_due(opened.context).delivered == 1
        assert (safe.signed_in, safe.is_safe) == ([("ann@home", "let me in")], [True])


def test_no_mail_and_no_password_goes_to_a_server_that_nobody_vouches_for(
    sending: World, box: Mailbox, tmp_path: Path
) -> None:
    tls, _ = certificate(tmp_path, "localhost")
    deliver(sending, mail_to(ANN))
    made(sending)
    secret = SecretStr("let me in")
    with mailbox(tls) as unknown:
        for port, says in ((unknown.port, "CERTIFICATE_VERIFY_FAILED"), (box.port, "STARTTLS")):
            url = f"smtp://ann@localhost:{port}"
            with told(sending, smtp_url=url, smtp_security="starttls", smtp_password=secret) as opened:
                assert says in send_due(opened.context).failed[0]
            let_pass(sending, 100)
        assert unknown.signed_in == unknown.mails == box.mails == []


def test_a_password_that_is_refused_is_tried_again_and_not_shown(
    sending: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, trusted = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    deliver(sending, mail_to(ANN))
    made(sending)
    with mailbox(tls) as safe:
        url, secret = f"smtp://ann@localhost:{safe.port}", SecretStr("open sesame")
        with told(sending, smtp_url=url, smtp_security="starttls", smtp_password=secret) as opened:
            (failed,) = send_due(opened.context).failed
    assert "does not let us sign in (535)" in failed
    assert "sesame" not in str(rows(sending, "last_error::text"))


def test_a_wanted_format_that_was_not_made_is_dead(sending: World) -> None:
    deliver(sending, mail_to(ANN, formats=["xlsx"]), formats=["xlsx"])
    made(sending)  # csv, as of rules that were changed meanwhile
    assert "The run has no file of the wanted formats (csv)." in send_due(sending.context).dead[0]
