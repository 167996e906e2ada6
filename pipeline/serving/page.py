"""The page that files are dropped on: one HTML file with style and script inside, and the policy that allows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import ffpipe
from ffpipe.pipeline.output import size_text
from ffpipe.pipeline.page.render import content_policy
from ffpipe.pipeline.serving.uploads import UploadLimits

_FOLDER = Path(__file__).parent
#: What this page may do beyond the policy of pages that are opened from the disk: talk to its own server.
_MORE = "connect-src 'self'; img-src data:; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Page:
    """The page and its content policy."""

    html: str
    policy: str


def make_page(model: str, limits: UploadLimits, keep: bool, workspace: str) -> Page:
    """The page of a server that scores with this model, in words."""
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("serve.css", "serve.js"))
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("serve.html.jinja").render(
        # Both are files of ours, and the browser hashes them as they stand there.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        version=ffpipe.__version__,
        model=model,
        keep=keep,
        workspace=workspace,
        file_bytes=limits.file_bytes,
        batch_files=limits.batch_files,
        file_size=size_text(limits.file_bytes),
    )
    return Page(html, f"{content_policy(style, script)}; {_MORE}")
