"""MLflow as a place where datasets and prompts are kept: asked quietly, in bounded time, its errors worded as ours.

Which server or store is asked is MLflow's own setting, `MLFLOW_TRACKING_URI`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import warnings
from typing import TYPE_CHECKING, Final

from llmgate.errors import DatasetError, LlmgateError, SuiteError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["EXTRA", "asking"]

EXTRA: Final = "pip install 'pytest-llmgate[mlflow]'"
BOUNDED: Final[Mapping[str, str]] = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""MLflow's own defaults, 7 retries and 120 s, take ten minutes to say that nobody answers."""
QUIET: Final[Mapping[str, str]] = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
LOGGERS: Final = ("mlflow", "alembic", "sqlalchemy")

# Environment, warning filters and log levels belong to the process, so only one thread changes them at a time.
ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def asking(where: str, error: type[DatasetError | SuiteError] = DatasetError) -> Iterator[None]:
    """Ask MLflow something.

    Args:
        where: What is asked about.
        error: What its refusals become.

    Raises:
        DatasetError, SuiteError: For whatever MLflow, the network or the disk says.
    """
    with ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = {name: value for name, value in {**BOUNDED, **QUIET}.items() if name not in os.environ}
        levels = {name: logging.getLogger(name).level for name in LOGGERS}
        os.environ.update(wanted)
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        except LlmgateError:
            raise
        except ImportError as missing:
            raise error("this needs MLflow", where=where, fix=EXTRA) from missing
        except Exception as said:
            first = (str(said).strip() or type(said).__name__).splitlines()[0].rstrip(".")
            raise error(
                f"MLflow says: {first[:300]}", where=where, fix="Check the name, the server and MLFLOW_TRACKING_URI"
            ) from said
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            for name in wanted:
                os.environ.pop(name, None)
