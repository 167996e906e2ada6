from __future__ import annotations

import pickle

import pytest

from ffpipe.manifests.errors import FfpipeError, IntegrityError, LockedError, StorageError, UsageError
from ffpipe.pipeline.serving.refusal import Refused, http_status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused(413, "too large"), 413),
        (StorageError("disk full"), 507),
        (IntegrityError("damaged"), 507),
        (LockedError("at work"), 409),
        (UsageError("wrong"), 400),
        (FfpipeError("a bug"), 500),
    ],
)
def test_each_error_has_a_status_and_survives_a_process_border(error: FfpipeError, status: int) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (http_status(again), again.message) == (status, error.message)
