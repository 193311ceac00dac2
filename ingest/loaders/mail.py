"""Mails (EML, Outlook MSG): a short head, the body, and every attachment that can be read as a section."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path, PurePath

from oxmsg import Message as OutlookMessage
from oxmsg.recipient import Recipient

from ingest.loaders.dates import iso_date
from ingest.loaders.html import content_markdown, decode_html, parse_html
from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.markup import heading, one_line, quote
from ingest.loaders.nesting import nested, plain_paragraphs, section
from ingest.loaders.text import decode
from rag.core.errors import LoadError
from rag.core.types import LoadedDocument, MetaValue

_HEAD = ("From", "To", "Cc", "Subject", "Date")
_MAX_ATTACHMENTS = 50
_MAX_ATTACHED_BYTES = 64 * 1024 * 1024
_QUOTED = re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)
_SHARE_OF_HTML = 0.3
_MAX_QUOTES = 10
# Outlook's numbers for what a property says.
_SENDER_NAME, _SENDER_ADDRESS, _SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
_RECIPIENT_KIND, _RECIPIENT_SMTP = 0x0C15, 0x39FE
_DISPLAY_TO, _DISPLAY_CC = 0x0E04, 0x0E03
_DELIVERED = 0x0E06


@dataclass(slots=True)
class _Mail:
    head: dict[str, str]
    plain: str
    html: str
    attachments: list[tuple[str, bytes | None]] = field(default_factory=list)
    """(name, content where it can be had)."""
    date: str = ""


class EmlLoader:
    media_types = ("message/rfc822",)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        # Some exports put the line of a mailbox file, or blank lines, before the first header.
        data = re.sub(rb"\A(?:\xef\xbb\xbf)?\s*(?:>?From [^\r\n]*\r?\n)?", b"", data)
        message = email.message_from_bytes(data, policy=email.policy.default)
        return _document(_read(message), self.media_types[0], path, passwords)


class MsgLoader:
    media_types = ("application/vnd.ms-outlook",)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        return _document(_read_outlook(OutlookMessage.load(data)), self.media_types[0], path, passwords)


def _document(mail: _Mail, media_type: str, path: Path, passwords: Sequence[str]) -> LoadedDocument:
    head = [f"**{name}:** {mail.head[name]}" for name in _HEAD if mail.head.get(name)]
    body, warnings = _body(mail)
    parts = [heading(1, "Email Message"), "\n".join(head)]
    if body:
        parts += [heading(2, "Content"), nested(body, 3)]
    for name, attached in _attached(mail.attachments, path, passwords, warnings):
        parts += [heading(2, f"Attachment: {name}"), attached]
    metadata: dict[str, MetaValue] = {}
    for key, value in (("author", mail.head.get("From")), ("to", mail.head.get("To")), ("date", mail.date)):
        if value:
            metadata[key] = value[:1000]
    return document_from_markdown(
        "\n\n".join(part for part in parts if part) + "\n",
        media_type,
        title=mail.head.get("Subject"),
        metadata=metadata,
        warnings=warnings,
    )


def _body(mail: _Mail) -> tuple[str, list[str]]:
    """The plain text, unless it only says that one should look at the HTML."""
    markdown = ""
    warnings: list[str] = []
    if mail.html.strip():
        try:
            markdown, warnings = content_markdown(parse_html(mail.html), whole=True)
        except LoadError as exc:
            warnings = [str(exc)]
    n_plain, n_html = len(mail.plain.split()), len(markdown.split())
    if n_plain and n_plain >= _SHARE_OF_HTML * n_html:
        return _plain_markdown(mail.plain), []
    return markdown, warnings


def _plain_markdown(text: str, depth: int = 0) -> str:
    """Lines that begin with ">" are what somebody wrote before."""
    blocks: list[str] = []
    lines: list[str] = []
    quoted = False
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), None]:
        is_quoted = line is not None and bool(_QUOTED.match(line))
        if lines and (line is None or is_quoted != quoted):
            text = "\n".join(lines)
            inner = (
                _plain_markdown(_QUOTED.sub("", text), depth + 1) if quoted and depth < _MAX_QUOTES else ""
            )
            blocks.append(quote(inner) if inner else plain_paragraphs(text))
            lines = []
        quoted = is_quoted
        if line is not None:
            lines.append(line)
    return "\n\n".join(block for block in blocks if block)


def _attached(
    attachments: Sequence[tuple[str, bytes | None]], path: Path, passwords: Sequence[str], warnings: list[str]
) -> Iterator[tuple[str, str]]:
    """(name, Markdown) of each; Markdown "" where it is a picture or cannot be read."""
    from ingest.loaders.registry import load_bytes

    left = _MAX_ATTACHED_BYTES
    for number, (name, data) in enumerate(attachments):
        if number == _MAX_ATTACHMENTS:
            warnings.append(f"{len(attachments) - number} of {len(attachments)} attachments were not read")
            break
        shown = one_line(PurePath(name.replace("\\", "/")).name)[:200] or f"attachment {number + 1}"
        left -= len(data or b"")
        if not data or left < 0:
            warnings.append(f"{shown}: {'it is too large to be read here' if data else 'it is empty'}")
            yield shown, ""
            continue
        try:
            loaded = load_bytes(data, path.with_name(shown), name=shown, passwords=passwords)
        except LoadError as exc:
            warnings.append(str(exc))
            yield shown, ""
        else:
            warnings += [f"{shown}: {warning}" for warning in loaded.warnings]
            yield shown, section(loaded, 3)


# -- EML ---------------------------------------------------------------------------------------------


def _read(message: Message) -> _Mail:
    head = {name: value for name in _HEAD if (value := _header(message, name))}
    mail = _Mail(head, "", "", date=iso_date(head.get("Date", "")))
    _take(message, mail, 0)
    return mail


def _take(part: Message, mail: _Mail, depth: int) -> None:
    kind, name = part.get_content_type(), _file_name(part)
    payload = part.get_payload()
    inside = [p for p in payload if isinstance(p, Message)] if isinstance(payload, list) else None
    if kind == "message/rfc822" and inside is not None:
        for inner in inside:
            subject = _header(inner, "Subject") or "message"
            mail.attachments.append((f"{subject[:100].replace('/', '-')}.eml", inner.as_bytes()))
    elif inside is not None:
        for inner in inside if depth < 50 else ():
            _take(inner, mail, depth + 1)
    elif kind == "text/plain" and not _is_attached(part, name):
        mail.plain = "\n\n".join(filter(None, (mail.plain, _text(part))))
    elif kind == "text/html" and not _is_attached(part, name):
        mail.html += _text(part)
    elif name or not kind.startswith(("image/", "application/pgp-", "application/pkcs7-")):
        mail.attachments.append((name or f"{kind.replace('/', '.')}", _bytes(part)))


def _is_attached(part: Message, name: str) -> bool:
    return bool(name) or str(part.get("Content-Disposition", "")).strip().lower().startswith("attachment")


def _file_name(part: Message) -> str:
    try:
        return one_line(part.get_filename() or "")
    except Exception:  # the standard library's header parser stumbles over odd parameters
        return "attachment"


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: Message) -> str:
    data = _bytes(part)
    charset = part.get_content_charset() or ""
    try:
        if charset not in ("", "us-ascii", "ascii"):
            return data.decode("cp1252" if charset in ("iso-8859-1", "latin-1") else charset)
    except (LookupError, ValueError):
        pass
    return decode_html(data) if part.get_content_type() == "text/html" else decode(data)


def _header(message: Message, name: str) -> str:
    try:
        value = str(message.get(name, ""))
    except Exception:  # as above; the words are still there
        value = next((str(v) for k, v in message.raw_items() if k.lower() == name.lower()), "")
    return one_line(value.encode("utf-8", "replace").decode("utf-8"))[:2000]


# -- MSG ---------------------------------------------------------------------------------------------


def _read_outlook(message: OutlookMessage) -> _Mail:
    sent = message.sent_date or message.properties.date_prop_value(_DELIVERED)
    date = sent.isoformat(timespec="seconds") if sent else iso_date(message.message_headers.get("Date", ""))
    head = {
        "From": _outlook_sender(message),
        "To": _outlook_people(message, 1, _DISPLAY_TO),
        "Cc": _outlook_people(message, 2, _DISPLAY_CC),
        "Subject": one_line(message.subject),
        "Date": date.replace("T", " "),
    }
    mail = _Mail(head, message.body or "", _outlook_html(message), date=date)
    for attachment in message.attachments:
        mail.attachments.append((attachment.file_name or "attachment", attachment.file_bytes))
    return mail


def _outlook_sender(message: OutlookMessage) -> str:
    properties = message.properties
    name = one_line(properties.str_prop_value(_SENDER_NAME) or "")
    addresses = (properties.str_prop_value(pid) or "" for pid in (_SENDER_SMTP, _SENDER_ADDRESS))
    # Within a company the address is a path of the directory, which tells nobody anything.
    address = next((a for a in addresses if "@" in a), "")
    if address or name:
        return _person(name, address)
    return one_line(_decoded(message.sender or ""))


def _outlook_people(message: OutlookMessage, kind: int, displayed: int) -> str:
    people = [
        _person(one_line(r.name or ""), _address(r))
        for r in message.recipients
        if r.properties.int_prop_value(_RECIPIENT_KIND) == kind
    ]
    return ", ".join(filter(None, people)) or one_line(message.properties.str_prop_value(displayed) or "")


def _address(recipient: Recipient) -> str:
    for address in (recipient.properties.str_prop_value(_RECIPIENT_SMTP), recipient.email_address):
        if address and "@" in address:
            return str(address)
    return ""


def _person(name: str, address: str) -> str:
    return f"{address} ({name})" if name and address and name != address else address or name


def _outlook_html(message: OutlookMessage) -> str:
    try:
        return message.html_body or ""
    except (LookupError, ValueError):
        return ""


def _decoded(header: str) -> str:
    try:
        return str(make_header(decode_header(header)))
    except (LookupError, ValueError):
        return header
