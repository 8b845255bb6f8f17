"""A run as one HTML file that anybody can open: what was run, what came of it, and why to believe it."""

from rlvr.report.write import write_report

__all__ = ["write_report"]
