"""Every error that LabelLoop raises on purpose: what a caller sees over HTTP and what the shell gets as exit code.

LabelLoopError                  500  exit 1
├── SettingsError               500  exit 2   a setting is wrong; the message names it
├── ConfigError                 400  exit 2   the label config cannot be read
├── ItemError                   422  exit 3   one item cannot be scored; its batch goes on
├── RequestError                400  exit 2   a request or an input file has the wrong form
│   └── TooLargeError           413  exit 2   ... or is larger than a limit allows
├── KeyRefusedError             401  exit 2   no key, an unknown one, or one bound to another project
├── ModelError                  500  exit 4   a model is missing, unsafe or does not fit its use
├── UnavailableError            503  exit 5   something we need is down and may come back; carries retry_after
│   ├── QueueDownError          503  exit 5   Redis does not answer
│   ├── NoWorkerError           503  exit 5   nobody is there to do the work
│   └── StoreDownError          503  exit 5   the SQL store does not answer or is locked
└── StudioError                 502  exit 6   Label Studio refused or did not answer; carries the remedy
    └── SetupFailedError        502  exit 6   ... it reached us, and our /setup failed or came late
"""

from __future__ import annotations


class LabelLoopError(Exception):
    """The root. ``message`` says what is wrong, ``remedy`` what the reader can do about it."""

    status = 500
    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class SettingsError(LabelLoopError):
    exit_code = 2


class ConfigError(LabelLoopError):
    status, exit_code = 400, 2


class ItemError(LabelLoopError):
    status, exit_code = 422, 3


class RequestError(LabelLoopError):
    status, exit_code = 400, 2


class TooLargeError(RequestError):
    status = 413


class KeyRefusedError(LabelLoopError):
    status, exit_code = 401, 2


class ModelError(LabelLoopError):
    exit_code = 4


class UnavailableError(LabelLoopError):
    """Raised while waiting helps; ``retry_after`` is in seconds."""

    status, exit_code = 503, 5
    retry_after = 5


class QueueDownError(UnavailableError):
    pass


class NoWorkerError(UnavailableError):
    pass


class StoreDownError(UnavailableError):
    pass


class StudioError(LabelLoopError):
    """Label Studio refused. ``http_status`` is its answer's status, None where there was no answer."""

    status, exit_code = 502, 6

    def __init__(self, message: str, remedy: str = "", http_status: int | None = None) -> None:
        super().__init__(message, remedy)
        self.http_status = http_status


class SetupFailedError(StudioError):
    pass
