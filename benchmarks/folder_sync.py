"""What a second ingest costs: unchanged, one paragraph edited, one file renamed, one deleted.

    python -m benchmarks.folder_sync

On the FastAPI documentation (154 files), in one process, the encoder already loaded.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.sets import SHARED
from rag.core.reports import SyncReport
from rag.core.settings import load_settings
from rag.wiring import Footnote, open_footnote

SET = "fastapi_docs"


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "docs"
        shutil.copytree(SHARED / SET / "corpus", folder)
        with open_footnote(load_settings(store=Path(scratch) / "store"), create=True) as footnote:
            print("| step | wall, s | encoding, s | files parsed | texts embedded | as it should be |")
            print("|---|---|---|---|---|---|")
            report = footnote.ingest([folder])
            _row("first ingest", report, not report.failed)
            report = footnote.ingest([folder])
            _row("again, unchanged", report, report.n_parsed == report.n_embedded == 0 and report.wall_s < 1)
            _edit(footnote, folder)
            _rename(footnote, folder)
            _delete(footnote, folder)
            report_of_doctor = footnote.doctor()
        print(f"\ndoctor: {'healthy' if report_of_doctor.healthy else report_of_doctor.findings}")


def _row(step: str, report: SyncReport, right: bool) -> None:
    print(
        f"| {step} | {report.wall_s:.3f} | {report.encode_s:.3f} | {report.n_parsed} | {report.n_embedded} "
        f"| {'yes' if right else 'NO'} |",
        flush=True,
    )


def _edit(footnote: Footnote, folder: Path) -> None:
    path = _markdown(folder)[0]
    paragraphs = path.read_text("utf-8").split("\n\n")
    middle = len(paragraphs) // 2
    paragraphs[middle] += (
        "\n\nThe quokka clause of this page says that marsupials may call the endpoint twice."
    )
    path.write_text("\n\n".join(paragraphs), "utf-8")
    report = footnote.ingest([folder])
    hits = footnote.search("How often may marsupials call the endpoint?", k=1).hits
    found = bool(hits) and "quokka" in hits[0].chunk.text
    _row("one paragraph edited", report, report.n_parsed == 1 and report.n_embedded <= 3 and found)


def _rename(footnote: Footnote, folder: Path) -> None:
    path = _markdown(folder)[1]
    path.rename(path.with_name("renamed-page.md"))
    report = footnote.ingest([folder])
    _row("one file renamed", report, report.n_embedded == 0 and len(report.renamed) == 1)


def _delete(footnote: Footnote, folder: Path) -> None:
    _markdown(folder)[0].unlink()
    report = footnote.ingest([folder])
    hits = footnote.search("How often may marsupials call the endpoint?", k=10).hits
    gone = not any("quokka" in hit.chunk.text for hit in hits)
    _row("one file deleted", report, report.n_embedded == 0 and gone)


def _markdown(folder: Path) -> list[Path]:
    """The longest pages first."""
    return sorted(folder.rglob("*.md"), key=lambda path: (-path.stat().st_size, path))


if __name__ == "__main__":
    main()
