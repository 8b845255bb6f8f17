"""Basics used by all packages: settings, keys, import paths, files, processes, text, the identity of runs."""
