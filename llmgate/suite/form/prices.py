"""The file of `--prices`: what GPUs and electricity cost, as the user says. None comes with llmgate.

YAML or JSON::

    currency: EUR                # for display; USD if left out
    per_kwh: 0.25                # electricity; leave it out where the hour's price includes it
    gpus:                        # price of one GPU for an hour, by its name in `nvidia-smi -L`
      "NVIDIA H100 80GB*": 2.9   # `*`, `?` and `[…]` as in file names; the first that fits is taken
      "NVIDIA L4": 0.8
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, ValidationError

from llmgate.errors import SuiteError
from llmgate.record.serving.prices import PriceTable
from llmgate.suite.form.document import read_document
from llmgate.suite.form.part import Finite, Part, first_problem, worded

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_prices"]

EMPTY: Final = "the file holds no settings"
FORM: Final = "Name a GPU and its price for an hour under `gpus:`, or give `per_kwh:`"
Price = Annotated[Finite, Field(ge=0)]
Text = Annotated[str, Field(min_length=1, max_length=100)]


class PriceForm(Part):
    """The form of the file."""

    currency: Text = "USD"
    """For display."""
    per_kwh: Price | None = None
    """Electricity, in addition to the hour's price."""
    gpus: dict[Text, Price] = Field(default_factory=dict)
    """Pattern of a GPU's name → price of one for an hour."""


def read_prices(path: Path) -> PriceTable:
    """Read a file of prices.

    Raises:
        UsageError: With file and line, for what is unknown, negative or no number, and if there is no price.
    """
    try:
        document = read_document(path)
    except SuiteError as error:
        fix = FORM if error.what == EMPTY else error.fix
        raise SuiteError(error.what, where=error.where, fix=fix) from error
    try:
        form = PriceForm.model_validate(document.data)
    except ValidationError as error:
        problem = first_problem(error)
        what, fix = worded(problem, problem["loc"], PriceForm)
        raise SuiteError(what, where=document.where(*problem["loc"]), fix=fix) from error
    if form.per_kwh is None and not form.gpus:
        raise SuiteError("there is no price", where=str(path), fix=FORM)
    return PriceTable(currency=form.currency, gpus=tuple(form.gpus.items()), per_kwh=form.per_kwh)
