"""The run folder: journal, metrics, plots and the table at the end."""
