"""Small programs as checks: JavaScript and Python, read as syntax trees and evaluated with bounds. No code is run."""

__all__: list[str] = []
