"""A run's report as one self-contained HTML file: settings, results, diagnostics, reproducibility."""

from rlvr.report.write import write_report

__all__ = ["write_report"]
