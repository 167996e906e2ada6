"""Result tables as pandas data frames whose types keep what the tables say: whole numbers, closed sets, provenance."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from ffpipe.manifests.records import Status, Verdict
from ffpipe.pipeline.tables import provenance_of

#: Whole numbers that may be null stay whole, rather than become floats.
_WHOLE: dict[pa.DataType, Any] = {
    pa.int8(): pd.Int8Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
}
#: Columns of closed sets; every member is a category, also one that no row has.
_CLOSED = {"status": Status, "verdict": Verdict}


def data_frame(table: pa.Table) -> pd.DataFrame:
    """A table as a data frame, with its provenance, a dictionary, in `.attrs["provenance"]`.

    Whole numbers are pandas' nullable integers, numbers float64 or float32 with NaN for null, status and verdict
    categories, all other text pandas' own strings.
    """
    frame: pd.DataFrame = table.to_pandas(types_mapper=_WHOLE.get)
    for name, members in _CLOSED.items():
        if name in frame.columns:
            kind = pd.CategoricalDtype([member.value for member in members])
            frame[name] = frame[name].astype(kind)
    frame.attrs["provenance"] = provenance_of(table)
    return frame
