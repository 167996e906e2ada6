"""An owner's JSON file, read whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path


def read_json(path: Path) -> Any:
    """What the file holds.

    Raises:
        UsageError: it cannot be read, or is not JSON.
    """
    shown = display_path(path)
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown} is not JSON: {error}") from error
