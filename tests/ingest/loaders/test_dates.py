from __future__ import annotations

import pytest

from ingest.loaders.dates import iso_date


@pytest.mark.parametrize(
    ("stated", "iso"),
    [
        ("2024-05-01", "2024-05-01"),
        (" 2024-05-01T10:00:00Z ", "2024-05-01T10:00:00+00:00"),
        ("Wed, 02 Oct 2002 15:00:00 +0200", "2002-10-02T15:00:00+02:00"),
        ("2024", "2024-01-01"),
        ("2024-05", "2024-05-01"),
        ("1.2.2024", "2024-02-01"),
        ("2024-05-01 at noon", "2024-05-01"),
        ("11/12/2024", ""),
        ("31.2.2024", ""),
        ("soon", ""),
        ("", ""),
    ],
)
def test_a_stated_date_becomes_an_iso_date_or_nothing(stated: str, iso: str) -> None:
    assert iso_date(stated) == iso
