"""The parts of an Office archive and how they refer to each other, read so that a broken one harms no other."""

from __future__ import annotations

import posixpath
import zipfile
from functools import cached_property
from typing import NamedTuple

from lxml import etree

from ingest.loaders.archive import read_member
from ingest.loaders.dates import iso_date
from ingest.loaders.safe_xml import parse_ooxml
from rag.core.errors import LoadError
from rag.core.types import MetaValue

_HEAD_BYTES = 1024


class _Relation(NamedTuple):
    kind: str
    target: str
    external: bool


class Package:
    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self.name = name
        self.warnings: list[str] = []
        self._relations: dict[str, dict[str, _Relation]] = {}

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        # Some programs write the separators of Windows.
        return {
            info.filename.replace("\\", "/").lstrip("/").lower(): info for info in self._archive.infolist()
        }

    def main_part(self) -> str:
        for relation in self.relations("").values():
            if relation.kind == "officeDocument" and relation.target.lower() in self._members:
                return relation.target
        if "word/document.xml" in self._members:
            return "word/document.xml"
        raise LoadError(f"{self.name} is no Office document inside; open and save it anew.", path=self.name)

    def bytes_of(self, part: str) -> bytes:
        """Raises ``LoadError``."""
        info = self._members.get(part.lower())
        if info is None:
            raise LoadError(f"{self.name} lacks its part {part}; it may be damaged.", path=self.name)
        return read_member(self._archive, info, self.name)

    def xml(self, part: str) -> etree._Element:
        """Raises ``LoadError``."""
        return parse_ooxml(self.bytes_of(part), f"{part} in {self.name}")

    def is_whole(self, part: str) -> bool:
        """False if its XML breaks off; what comes before is read all the same."""
        end = self.bytes_of(part)[-200:].replace(b"\x00", b"").rstrip()
        return end.endswith(b">") and b"</" in end[end.rfind(b"<") :]

    def related_xml(self, part: str, kind: str) -> etree._Element | None:
        """The part that this one names for styles, numbering …; None, with a warning, if it cannot be read."""
        for relation in self.relations(part).values():
            if relation.kind == kind and not relation.external:
                try:
                    return self.xml(relation.target)
                except LoadError as exc:
                    self.warnings.append(str(exc))
        return None

    def xml_of(self, part: str, relation: str) -> etree._Element | None:
        target = self.target(part, relation)
        try:
            return self.xml(target) if target else None
        except LoadError:
            return None

    def head(self, part: str) -> bytes:
        """Its first bytes; b"" if there is no such part."""
        info = self._members.get(part.lower())
        if info is None:
            return b""
        try:
            with self._archive.open(info) as stream:
                return stream.read(_HEAD_BYTES)
        except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile, EOFError):
            return b""

    def target(self, part: str, relation: str) -> str | None:
        found = self.relations(part).get(relation)
        return found.target if found is not None and not found.external else None

    def external(self, part: str, relation: str) -> str | None:
        found = self.relations(part).get(relation)
        return found.target if found is not None and found.external else None

    def relations(self, part: str) -> dict[str, _Relation]:
        if part not in self._relations:
            self._relations[part] = self._read_relations(part)
        return self._relations[part]

    def _read_relations(self, part: str) -> dict[str, _Relation]:
        folder, file = posixpath.split(part)
        try:
            root = self.xml(posixpath.join(folder, "_rels", f"{file}.rels"))
        except LoadError:
            return {}
        found = {}
        for node in root:
            if not isinstance(node.tag, str):
                continue
            target = node.get("Target") or ""
            external = node.get("TargetMode") == "External"
            if not external:
                target = target.replace("\\", "/")
                joined = target if target.startswith("/") else posixpath.join(folder, target)
                target = posixpath.normpath(joined).lstrip("/")
            kind = (node.get("Type") or "").rpartition("/")[2]
            found[node.get("Id") or ""] = _Relation(kind, target, external)
        return found


def core_properties(package: Package) -> tuple[str | None, dict[str, MetaValue]]:
    """(title, metadata with author, date, keywords, subject) as the document states them."""
    stated: dict[str, str] = {}
    for relation in package.relations("").values():
        if relation.kind == "core-properties":
            try:
                root = package.xml(relation.target)
            except LoadError:
                break
            stated = {
                node.tag.rpartition("}")[2]: node.text.strip()
                for node in root
                if isinstance(node.tag, str) and node.text and node.text.strip()
            }
    names = {"creator": "author", "keywords": "keywords", "subject": "subject", "language": "language"}
    metadata: dict[str, MetaValue] = {names[key]: text[:1000] for key, text in stated.items() if key in names}
    date = iso_date(stated.get("modified") or stated.get("created") or "")
    if date:
        metadata["date"] = date[:10]
    title = stated.get("title")
    return (
        title if title and title.lower() not in ("untitled", "document", "word document") else None
    ), metadata
