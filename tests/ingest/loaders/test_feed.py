from __future__ import annotations

from pathlib import Path

import pytest

from ingest.loaders.feed import FeedLoader
from rag.core.errors import LoadError
from rag.core.types import LoadedDocument

RSS = """<?xml version="1.0"?><rss version="2.0" xmlns:c="http://purl.org/rss/1.0/modules/content/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>Pump news</title><language>en</language>
<lastBuildDate>Wed, 02 Oct 2002 13:00:00 GMT</lastBuildDate><description>All about pumps</description>
<item><title>Oil &amp; water</title><link>https://example.org/oil</link><dc:creator>Ada</dc:creator>
<category>oil</category><description>short</description>
<c:encoded><![CDATA[<h2>Why</h2><p>They <b>mix</b> badly.</p><p style="display:none">Trap</p>]]></c:encoded></item>
<item><description>Untitled words</description></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title>Neues</title>
<updated>2024-05-01T10:00:00Z</updated><entry><title>Erstes</title><link rel="self" href="https://x.org/self"/>
<link href="https://x.org/1"/><author><name>Grace</name></author>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Ein Satz.</p></div></content></entry></feed>"""


def load(text: str) -> LoadedDocument:
    return FeedLoader().load(Path("f.xml"), text.encode())


def test_every_entry_of_rss_is_a_section() -> None:
    loaded = load(RSS)
    assert loaded.title == "Pump news"
    assert loaded.metadata == {"language": "en", "date": "2002-10-02T13:00:00+00:00"}
    assert "# Pump news\n\nAll about pumps\n\n## Oil & water" in loaded.text
    assert "### Why\n\nThey **mix** badly.\n\nTopics: oil" in loaded.text
    assert "Ada · [example.org](https://example.org/oil)" in loaded.text
    assert "## Entry 2\n\nUntitled words" in loaded.text and "Trap" not in loaded.text


def test_atom_with_markup_in_place() -> None:
    loaded = load(ATOM)
    assert "## Erstes\n\nGrace · [x.org](https://x.org/1)\n\nEin Satz." in loaded.text
    assert loaded.metadata["date"] == "2024-05-01T10:00:00+00:00"


def test_other_xml_is_refused_in_one_sentence() -> None:
    with pytest.raises(LoadError, match=r"f\.xml is XML, but no feed"):
        load("<book><p>words</p></book>")
