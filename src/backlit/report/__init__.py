"""The report of a run: one HTML file that needs nothing else, and the pictures beside it as PNG files."""

from backlit.report.write import write_report

__all__ = ["write_report"]
