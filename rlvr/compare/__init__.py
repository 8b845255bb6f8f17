"""Runs side by side: which arms of a sweep differ, by how much, and whether significantly so."""
