"""Comma lists, under the name by which checks know them."""

from llmgate.suite.listing import split_list

__all__ = ["split_list"]
