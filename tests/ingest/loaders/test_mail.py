from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from oxmsg import Message as OutlookMessage

from ingest.loaders import mail
from ingest.loaders.mail import EmlLoader
from ingest.loaders.registry import load_bytes
from rag.core.errors import LoadError
from rag.core.types import LoadedDocument
from tests.ingest.loaders.test_archive import packed


def load(data: bytes | EmailMessage) -> LoadedDocument:
    raw = data.as_bytes() if isinstance(data, EmailMessage) else data
    return EmlLoader().load(Path("m.eml"), raw)


def message(body: str = "The pump is fixed.", **headers: str) -> EmailMessage:
    made = EmailMessage()
    for name, value in {
        "From": "Ada <ada@example.org>",
        "To": "bob@example.org",
        "Subject": "Pump",
        **headers,
    }.items():
        made[name] = value
    made.set_content(body)
    return made


def test_a_short_head_and_the_body() -> None:
    loaded = load(message(Cc="Carl <c@example.org>", Date="Wed, 02 Oct 2002 15:00:00 +0200"))
    assert loaded.text == (
        "# Email Message\n\n**From:** Ada <ada@example.org>\n**To:** bob@example.org\n"
        "**Cc:** Carl <c@example.org>\n**Subject:** Pump\n**Date:** Wed, 02 Oct 2002 15:00:00 +0200\n\n"
        "## Content\n\nThe pump is fixed.\n"
    )
    assert loaded.title == "Pump" and loaded.metadata["date"] == "2002-10-02T15:00:00+02:00"
    assert loaded.metadata["author"] == "Ada <ada@example.org>"


def test_encoded_headers_and_quoted_printable_bodies() -> None:
    raw = (
        b"From: =?iso-8859-1?Q?J=FCrgen?= <j@example.org>\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\n"
        b"Content-Type: text/plain; charset=windows-1252\nContent-Transfer-Encoding: quoted-printable\n\n"
        b"Sch=F6ne Gr=FC=DFe =96 bis bald, und das ist eine lange Zei=\nle.\n"
    )
    loaded = load(raw)
    assert "**From:** Jürgen <j@example.org>" in loaded.text and loaded.title == "Grüße"
    assert "Schöne Grüße – bis bald, und das ist eine lange Zeile." in loaded.text


@pytest.mark.parametrize("charset", ["no-such-charset", "ascii", "utf-8", ""])
def test_a_wrong_charset_loses_no_letters(charset: str) -> None:
    head = f"Subject: x\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: 8bit\n\n".encode()
    assert "Grüße aus Köln" in load(head + "Grüße aus Köln".encode("cp1252")).text


def test_plain_text_is_preferred_unless_it_only_points_at_the_html() -> None:
    both = message("The pump is fixed, says the plain text.")
    both.add_alternative("<p>The pump is <b>fixed</b>, says the HTML.</p>", subtype="html")
    assert "plain text" in load(both).text and "HTML" not in load(both).text
    stub = message("See the HTML part.")
    stub.add_alternative(
        "<table><tr><th>Part</th><td>Seal</td></tr></table><p>" + "Words. " * 20, subtype="html"
    )
    assert "Words. Words." in load(stub).text and "See the HTML part" not in load(stub).text


def test_html_loses_its_hidden_text() -> None:
    made = EmailMessage()
    made["Subject"] = "x"
    made.set_content("<h1>News</h1><p>Seen.</p><div style='display:none'>Trap</div>", subtype="html")
    loaded = load(made)
    assert "## Content\n\n### News\n\nSeen." in loaded.text and "Trap" not in loaded.text
    assert loaded.warnings == ("1 hidden element left out",)


def test_what_was_written_before_is_a_quotation() -> None:
    text = load(message("I agree.\n\n# 1 is best\n\nBob wrote:\n> Shall we?\n>> Who?\n-- \nAda\n")).text
    assert "I agree.\n\n\\# 1 is best\n\nBob wrote:\n\n> Shall we?\n>\n> > Who?\n\n\\--\nAda\n" in text


def test_attachments_become_sections_or_are_at_least_named() -> None:
    made = message()
    made.add_attachment(b"Part,Price\nSeal,3\n", maintype="text", subtype="csv", filename="prices.csv")
    made.add_attachment(
        b"# Oil\n\nMonthly.", maintype="application", subtype="octet-stream", filename="oil.md"
    )
    made.add_attachment(b"\x89PNG\0\0\0\0", maintype="image", subtype="png", filename="pump.png")
    made.add_attachment(message("Inner words.", Subject="Before"))
    loaded = load(made)
    assert "## Attachment: prices.csv\n\n| Part | Price |" in loaded.text
    assert "## Attachment: oil.md\n\n### Oil\n\nMonthly." in loaded.text
    assert "## Attachment: pump.png\n\n## Attachment: Before.eml\n\n### Email Message" in loaded.text
    assert "Inner words." in loaded.text
    assert loaded.warnings == ("pump.png is a picture (PNG), which holds no text to search.",)


def test_attachments_are_bounded_in_depth_size_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = message("bottom")
    for _ in range(6):
        outer = message("layer")
        outer.add_attachment(
            packed({"m.eml": inner.as_bytes()}), maintype="application", subtype="zip", filename="m.zip"
        )
        inner = outer
    deep = load_bytes(inner.as_bytes(), Path("m.eml"), name="m.eml")
    assert "layer" in deep.text and "bottom" not in deep.text and "unpack it" in " ".join(deep.warnings)
    monkeypatch.setattr(mail, "_MAX_ATTACHED_BYTES", 10)
    monkeypatch.setattr(mail, "_MAX_ATTACHMENTS", 2)
    made = message()
    for n in range(3):
        made.add_attachment(b"eight...", maintype="text", subtype="plain", filename=f"{n}.txt")
    loaded = load(made)
    assert loaded.text.count("eight...") == 1
    assert loaded.warnings == ("1.txt: it is too large to be read here", "1 of 3 attachments were not read")


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: x\nContent-Type: multipart/mixed; boundary=never\n\nwords",
        b"Subject: x\nContent-Type: text/plain; name*0*=utf-8''%FF; name*2=x\n\nwords",
        b"Subject: x\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n!!!\n",
        b"From: <<<>>>@@,,;:\nTo: undisclosed-recipients:;\nDate: yesterday\nSubject: \xff\xfe\n\nwords",
        b"From me@example.org Mon Jan  1 00:00:00 2024\nSubject: mailbox line\n\nwords",
        b"\n\nSubject: late\n\nwords",
    ],
)
def test_malformed_mails_are_read_or_refused_in_one_sentence(raw: bytes) -> None:
    try:
        assert load_bytes(raw, Path("m.eml"), name="m.eml").text.startswith("# Email Message")
    except LoadError as exc:
        assert "m.eml" in str(exc)


class _Properties:
    """The properties of an Outlook message: the one part of the format that has no writer."""

    def __init__(self, values: dict[int, object]) -> None:
        self.values = values

    def str_prop_value(self, pid: int) -> object:
        return self.values.get(pid)

    int_prop_value = date_prop_value = str_prop_value


def outlook(**changes: object) -> OutlookMessage:
    recipient = SimpleNamespace(
        name="Bob",
        email_address="/O=ORG/CN=BOB",
        properties=_Properties({0x0C15: 1, 0x39FE: "bob@example.org"}),
    )
    made = SimpleNamespace(
        subject="Pump",
        body="Plain.",
        html_body=None,
        sender=None,
        sent_date=None,
        message_headers={"Date": "Wed, 02 Oct 2002 15:00:00 +0200"},
        recipients=[recipient],
        attachments=[SimpleNamespace(file_name="a.txt", file_bytes=b"Attached words.")],
        properties=_Properties({0x0C1A: "Ada", 0x0C1F: "/O=ORG/CN=ADA", 0x5D01: "ada@example.org"}),
    )
    made.__dict__.update(changes)
    return cast(OutlookMessage, made)


def test_outlook_has_the_same_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail.OutlookMessage, "load", lambda _: outlook())
    loaded = mail.MsgLoader().load(Path("m.msg"), b"")
    assert loaded.text == (
        "# Email Message\n\n**From:** ada@example.org (Ada)\n**To:** bob@example.org (Bob)\n**Subject:** Pump\n"
        "**Date:** 2002-10-02 15:00:00+02:00\n\n## Content\n\nPlain.\n\n## Attachment: a.txt\n\nAttached words.\n"
    )
    assert loaded.title == "Pump" and loaded.metadata["date"] == "2002-10-02T15:00:00+02:00"


def test_outlook_addresses_within_a_company_are_names(monkeypatch: pytest.MonkeyPatch) -> None:
    only_names = _Properties({0x0C1A: "Ada", 0x0C1F: "/O=ORG/CN=ADA", 0x0E04: "Bob; Carl"})
    monkeypatch.setattr(mail.OutlookMessage, "load", lambda _: outlook(properties=only_names, recipients=[]))
    text = mail.MsgLoader().load(Path("m.msg"), b"").text
    assert "**From:** Ada\n**To:** Bob; Carl\n" in text and "ORG" not in text


def test_a_real_outlook_file_of_the_set(shared_eval: Path) -> None:
    files = sorted((shared_eval / "mixed_docs").rglob("*.msg"))
    if not files:
        pytest.skip("no Outlook file in the evaluation sets")
    for file in files:
        text = load_bytes(file.read_bytes(), file, name=file.name).text
        assert text.startswith("# Email Message\n\n**From:** ") and "\n\n## Content\n\n" in text
