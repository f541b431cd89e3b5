"""Files as Together has them, and how one that is sent is cut."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MULTIPART_ABOVE_BYTES = 5 * 1024**3
PART_BYTES = 250 * 1024**2
MAX_PARTS = 250
CONNECTIONS = 4

FileState = Annotated[str, AfterValidator(str.upper)]


class _Shape(BaseModel):
    """v1 writes its members in snake case, but for a few capitals."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True, populate_by_name=True)


class ValidationReport(_Shape):
    """What the service's check found; `error` is for people."""

    valid: bool = False
    error: str | None = None
    error_type: str | None = None
    nlines: int | None = None
    dataset_format: str | None = None


class RemoteFile(_Shape):
    """A file as Together has it. It can be trained on when it `is_ready`; `created_at` is whole seconds."""

    id: str
    filename: str = ""
    bytes: int = 0
    created_at: datetime | None = None
    purpose: str = ""
    file_type: str = Field("", alias="FileType")
    processing_status: FileState | None = None  # an open set, in capitals
    validation_report: ValidationReport | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the check is over and found nothing; files of old have no status and are taken as they are."""
        return self.processing_status in ("COMPLETED", None) and not self._is_invalid

    @property
    def is_refused(self) -> bool:
        """Whether the check is over, and no job will take the file."""
        return self.processing_status in ("INVALID_FORMAT", "FAILED") or (self.is_checked and self._is_invalid)

    @property
    def is_checked(self) -> bool:
        return self.processing_status in ("COMPLETED", "INVALID_FORMAT", "FAILED", None)

    @property
    def flaw(self) -> str:
        """Why it is refused, in the service's words."""
        if not self.is_refused:
            return ""
        said = self.validation_report.error if self.validation_report else None
        if said:
            return said
        return "the check itself failed" if self.processing_status == "FAILED" else "the format is wrong"

    @property
    def _is_invalid(self) -> bool:
        return self.validation_report is not None and not self.validation_report.valid


@dataclass(frozen=True)
class Sending:
    """How a file is cut: above `multipart_above` bytes in parts of `part_bytes`, `connections` at once."""

    multipart_above: int = MULTIPART_ABOVE_BYTES
    part_bytes: int = PART_BYTES
    max_parts: int = MAX_PARTS
    connections: int = CONNECTIONS
