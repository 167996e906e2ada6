"""Content credentials as scoring needs them: of the content that was hashed, beside the verdict."""

from __future__ import annotations

from dataclasses import dataclass

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Pictures, Status
from ffpipe.pipeline.config import ScoreConfig
from ffpipe.pipeline.plan import MediumItem
from ffpipe.pipeline.watched import Watch
from ffpipe.stages.credentials.confined import Credentials, TrustList, library, read_credentials

#: Of these nothing may be said, since what lies there need not be what was hashed.
_NOT_LOOKED_AT = frozenset({Status.MISSING, Status.CHANGED, Status.SKIPPED})


@dataclass(frozen=True, slots=True)
class CredentialsReader:
    """Reads the credentials of media, one after another."""

    trust: TrustList | None = None

    def of(self, item: MediumItem, status: Status) -> str | None:
        """The credentials of a medium of this status as JSON; None where they are not looked at."""
        path = item.opened
        if isinstance(path, Pictures) or item.status is not None or status in _NOT_LOOKED_AT:
            return None
        watch = Watch(path, item.sha256)
        try:
            found = read_credentials(path, self.trust)
        except OSError as error:
            return Credentials("unreadable", problem=error.strerror or "it cannot be opened").to_json()
        if found.state != "absent" and (fault := watch.fault()):
            return Credentials("unreadable", problem=fault.reason).to_json()
        return found.to_json()


def reader_for(settings: ScoreConfig) -> CredentialsReader | None:
    """The reader that the settings ask for; None also where the extra is not installed. Raises UsageError."""
    trust = None if settings.c2pa_trust is None else TrustList.load(settings.c2pa_trust)
    if trust and not library():
        raise UsageError("--c2pa-trust needs the extra c2pa: pip install 'ffpipe[c2pa]'")
    return CredentialsReader(trust) if settings.c2pa and library() else None
