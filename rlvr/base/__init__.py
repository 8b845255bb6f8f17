"""What everything stands on: settings, keys, import paths, files, processes, text, the identity of runs."""
