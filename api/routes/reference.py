"""``/docs``: the reference as one page without scripts, so that it can be read without a network."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.reference import markdown

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Footnote: HTTP API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }}
code, pre {{ font: 14px/1.4 ui-monospace, monospace; background: #f3f3f0; border-radius: 4px }}
code {{ padding: 0 .2em }} pre {{ padding: .8em; overflow-x: auto }} pre code {{ padding: 0 }}
table {{ border-collapse: collapse }} th, td {{ text-align: left; vertical-align: top; padding: .25em .8em .25em 0; border-bottom: 1px solid #ddd }}
h2 {{ margin-top: 2.2em; border-top: 1px solid #ddd; padding-top: .8em }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #1b1b1b }} code, pre {{ background: #2a2a2a }}
  th, td, h2 {{ border-color: #444 }} a {{ color: #8bf }} }}
</style></head><body><p>Machine-readable: <a href="/openapi.json">/openapi.json</a></p>
{body}</body></html>"""


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    from markdown_it import MarkdownIt

    text = markdown(request.app.openapi())
    return HTMLResponse(_PAGE.format(body=MarkdownIt("commonmark").enable("table").render(text)))
