"""Opens a presentation with python-pptx, rewritten first where that refuses it: slide shows, templates, Strict OOXML,
parts that are damaged."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from lxml import etree

from ingest.loaders.archive import open_zip, read_member
from ingest.loaders.safe_xml import parse_ooxml
from rag.core.errors import LoadError

_TYPES = "[Content_Types].xml"
_OTHER_MAIN_TYPES = re.compile(
    rb"application/vnd\.(?:ms-powerpoint|openxmlformats-officedocument\.presentationml)"
    rb"\.(?:slideshow|template|addin)(?:\.macroEnabled)?\.main\+xml"
)
_MAIN_TYPE = b"application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml"
_ATTRIBUTES = {
    "Relationship": ("Id", "Type", "Target"),
    "Default": ("Extension", "ContentType"),
    "Override": ("PartName", "ContentType"),
}


def open_deck(data: bytes, name: str, warnings: list[str]) -> Any:
    """Raises ``LoadError``."""
    from pptx import Presentation

    with open_zip(data, name) as archive:  # refuses what would unpack to too much
        try:
            return Presentation(io.BytesIO(data))
        except (MemoryError, RecursionError):
            raise
        except Exception:  # python-pptx raises anything at all
            mended = _mended(archive, name, warnings)
    try:
        return Presentation(io.BytesIO(mended))
    except (MemoryError, RecursionError):
        raise
    except Exception as exc:
        raise LoadError(f"{name} is a damaged presentation; open and save it anew.", path=name) from exc


def slides_of(deck: Any, warnings: list[str]) -> Iterator[tuple[int, Any]]:
    """(number, slide) of those that can be opened; ``deck.slides`` opens all or none."""
    listed = getattr(deck.part._element, "sldIdLst", None)
    for number, entry in enumerate(listed if listed is not None else (), 1):
        try:
            yield number, deck.part.related_slide(entry.rId)
        except Exception:  # its part is missing, or no slide
            warnings.append(f"slide {number} is damaged and cannot be read")


def _mended(archive: zipfile.ZipFile, name: str, warnings: list[str]) -> bytes:
    """Well-formed XML under the names that python-pptx knows; what cannot be unpacked or parsed is left out."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as mended:
        for part in dict.fromkeys(archive.namelist()):
            try:
                data = read_member(archive, part, name)
                if part.endswith((".xml", ".rels")):
                    if part == _TYPES:
                        data = _OTHER_MAIN_TYPES.sub(_MAIN_TYPE, data)
                    if not _is_well_formed(data):
                        warnings.append(f"{part} is damaged and may lack some of its text")
                    root = parse_ooxml(data, part)
                    _drop_incomplete(root)
                    data = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
            except LoadError:
                warnings.append(f"{part} is damaged and is left out")
                continue
            mended.writestr(part, data)
    return file.getvalue()


def _drop_incomplete(root: etree._Element) -> None:
    """Entries of the files that say what belongs to what; one that is cut short would stop the reading of all."""
    for node in list(root):
        wanted = _ATTRIBUTES.get(str(node.tag).rpartition("}")[2], ())
        if not all(map(node.get, wanted)):
            root.remove(node)


def _is_well_formed(data: bytes) -> bool:
    try:
        etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return False
    return True
