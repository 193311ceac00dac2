"""Sentences with personal data, and sentences with what only looks like it. Keys are put together here, so that no
scanner takes them for real ones."""

from __future__ import annotations

import base64
import json


def _jwt() -> str:
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": "1234567890", "name": "A. Person"}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "Sfl8KxwRJ5MeKKF2QT4fwpMeJf36POk6yJVadQssw5c"])


RANDOM = "Zx8Qf2Lm9Tr4Wk7Pv3Nc6Hb1Yd5"
PRIVATE_KEY = (
    "-----BEGIN "
    + "PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQ==\n-----END "
    + "PRIVATE KEY-----"
)
JWT = _jwt()

PERSONAL: list[tuple[str, str, list[str]]] = [
    # kind, text, what must be found
    ("EMAIL", "Write to anna.schmidt@example.com.", ["anna.schmidt@example.com"]),
    ("EMAIL", "Kontakt: <j.o'brien+news@mail.example.co.uk>, sofort", ["j.o'brien+news@mail.example.co.uk"]),
    ("EMAIL", "[mail](mailto:info@müller-küchen.de)", ["info@müller-küchen.de"]),
    ("EMAIL", "a@b.de;c_d@e-f.org", ["a@b.de", "c_d@e-f.org"]),
    ("EMAIL", "maria (at) example (dot) org is hers", ["maria (at) example (dot) org"]),
    ("EMAIL", "\"from\": \"X.Y@EXAMPLE.COM\"", ["X.Y@EXAMPLE.COM"]),
    ("PHONE", "Call +49 30 901820 today.", ["+49 30 901820"]),
    ("PHONE", "+49 (0)30 / 90 18 20-0", ["+49 (0)30 / 90 18 20-0"]),
    ("PHONE", "Ring +44 20 7946 0018, ext. 4", ["+44 20 7946 0018"]),
    ("PHONE", "T +1-212-736-5000", ["+1-212-736-5000"]),
    ("PHONE", "00 is dialled first: 0049 151 23456789", ["0049 151 23456789"]),
    ("PHONE", "(212) 736-5000 is the desk", ["(212) 736-5000"]),
    ("PHONE", "212-736-5000 or 212.736.5001", ["212-736-5000", "212.736.5001"]),
    ("PHONE", "1-800-273-8255 is free", ["1-800-273-8255"]),
    ("PHONE", "Büro: 030 901820", ["030 901820"]),
    ("PHONE", "Zentrale 0351/46567890", ["0351/46567890"]),
    ("PHONE", "mobil 0171-2345678 oder privat (0341) 123456", ["0171-2345678", "(0341) 123456"]),
    ("PHONE", "le standard au 01 42 68 53 00", ["01 42 68 53 00"]),
    ("PHONE", "London 020 7946 0018", ["020 7946 0018"]),
    ("PHONE", "Tel.: 90182000", ["90182000"]),
    ("PHONE", "Phone number 555-0123", ["555-0123"]),
    ("PHONE", "Fax 0123456789", ["0123456789"]),
    ("PHONE", "teléfono 912 345 678", ["912 345 678"]),
    ("PHONE", "Handynummer? Handy: 01512 3456789", ["01512 3456789"]),
    ("IBAN", "DE89370400440532013000", ["DE89370400440532013000"]),
    ("IBAN", "IBAN: DE89 3704 0044 0532 0130 00 BIC COBADEFFXXX", ["DE89 3704 0044 0532 0130 00"]),
    ("IBAN", "GB29 NWBK 6016 1331 9268 19.", ["GB29 NWBK 6016 1331 9268 19"]),
    ("IBAN", "pay to FR14 2004 1010 0505 0001 3M02 606 now", ["FR14 2004 1010 0505 0001 3M02 606"]),
    ("IBAN", "at611904300234573201", ["at611904300234573201"]),
    ("IBAN", "CH93-0076-2011-6238-5295-7", ["CH93-0076-2011-6238-5295-7"]),
    ("CARD", "4111 1111 1111 1111", ["4111 1111 1111 1111"]),
    ("CARD", "Visa 4012888888881881 exp 12/29", ["4012888888881881"]),
    ("CARD", "5555-5555-5555-4444", ["5555-5555-5555-4444"]),
    ("CARD", "Amex 3782 822463 10005", ["3782 822463 10005"]),
    ("CARD", "6011000990139424", ["6011000990139424"]),
    ("CARD", "JCB 3530111333300000", ["3530111333300000"]),
    ("CARD", "2223003122003222", ["2223003122003222"]),
    ("KEY", f"OPENAI_API_KEY=sk-{RANDOM}", [f"sk-{RANDOM}"]),
    ("KEY", f"key sk-proj-{RANDOM}-{RANDOM}", [f"sk-proj-{RANDOM}-{RANDOM}"]),
    ("KEY", "token ghp" + "_" + RANDOM + "a1B2c3D4", ["ghp" + "_" + RANDOM + "a1B2c3D4"]),
    ("KEY", "AKIA" + "Q3EGRIFFIN7XK2WM is the id", ["AKIA" + "Q3EGRIFFIN7XK2WM"]),
    ("KEY", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY9" + "k2LmQ8z", ["wJalrXUtnFEMI/K7MDENG/bPxRfiCY9k2LmQ8z"]),
    ("KEY", f"Authorization: Bearer {JWT}", [JWT]),
    ("KEY", f"Authorization: Bearer {RANDOM}", [RANDOM]),
    ("KEY", f"glpat-{RANDOM}", [f"glpat-{RANDOM}"]),
    ("KEY", f"xoxb-1234567890-{RANDOM}", [f"xoxb-1234567890-{RANDOM}"]),
    ("KEY", f"see\n{PRIVATE_KEY}\nend", [PRIVATE_KEY]),
    ("KEY", f'{{"client_secret": "{RANDOM}"}}', [RANDOM]),
    ("KEY", "password: Sommer-2024", ["Sommer-2024"]),
    ("KEY", "Das Kennwort lautet Winter!99x", ["Winter!99x"]),
    ("KEY", "postgres://app:tr0ub4dor@db.example.com:5432/x", ["tr0ub4dor"]),
    ("KEY", "api-key: 9f86d081884c7d659a2feaa0c55ad015", ["9f86d081884c7d659a2feaa0c55ad015"]),
]  # fmt: skip

NOT_PERSONAL: list[str] = [
    "On 2024-03-01 the price was 1,299.00 EUR.",
    "From 01.02.2024 to 28.02.2024 and 12/31/2023.",
    "At 09:30 on 3 March 2024 12 people came.",
    "Order 20240301-4711 was shipped.",
    "Invoice no. 0012345678 of 2023",
    "The host is 192.168.10.12:8080, or 10.0.0.255.",
    "fe80::1ff:fe23:4567:890a is its address.",
    "Version 1.2.3, build 20231108.1045, release 10.15.7",
    "ISBN 978-3-16-148410-0 and ISSN 2049-3630",
    "The EAN is 4006381333931.",
    "Population: 83,294,633 in 2023; area 357,022 km²",
    "1 000 000 000 rows, 12 345 678 of them new",
    "3.14159265358979 and 2.718281828459045",
    "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "id 550e8400-e29b-41d4-a716-446655440000",
    "timestamp 1732358400000, or 1732358400",
    "npm install react@18.2.0 @types/node@20",
    "@anna please look; user@localhost is fine",
    "Pages 100-105, 200-299 and 0800-1200 hours",
    "Part 030-1234 fits; sizes 10-12-14",
    "4111 1111 1111 1112 fails its check digit",
    "1234 5678 9012 3456 is no card",
    "DE89 3704 0044 0532 0130 01 is no account",
    "DE12 is a class; GB2312 is an encoding",
    "max_tokens=4096 and token: str",
    "api_key = settings.llm_api_key",
    "export API_KEY=$OPENAI_KEY; password=${DB_PASSWORD}",
    "password: required, at least 8 characters",
    "Set your api key: your-api-key-goes-here-123",
    "The key is under the mat; the secret: patience",
    "the primary key: customer_order_2024",
    "Keep 36.6–37.2 °C for 24-48 hours",
    "0.0001 0.0005 0.001 0.005",
    "| 101 | 212 | 313 | 4144 |",
    "Coordinates 52.5200, 13.4050; 48.8566 2.3522",
    "2 × 4 × 200 mm, 100 000 Nm, 230 V",
    "phone support is open from 9 to 17; call 112 in need",
    "Fax: no. Telephone: 2 lines",
    "https://example.com/item/4155552671?ref=20240301",
    "The mobile 5 GHz band; handy 3 in 1 tool 2024",
    "Account 1234567890, customer 0000123456",
    "§ 630 Abs. 2, Art. 12-14, 0/1 0/2 0/3",
    "x = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",
    "Cell 2001 12 3114 3125; Phone 2003 113 755 766",
    "CVE-2024-12345678 and RFC 2119",
    "IMEI 356938035643809",
    "2024 01 15 10 30 00 is the stamp",
]  # fmt: skip
