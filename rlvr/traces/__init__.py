"""Worked answers as training data: labels, deduplication, decontamination, selection, pairs, data card.

traces.py      `Trace`: an answer, its verdict and its labels; from groups of rollouts
labels.py      pass rate, length, repetition, domain
duplicates.py  the same problem under several ids, the same answer twice
overlap.py     problems that share n-grams with an evaluation set
choose.py      selects the traces that SFT and mid-training learn from
pairs.py       pairs a correct and an incorrect answer to one problem, for DPO
config.py      the settings of choose.py and pairs.py; criteria.py: code that they share
files.py       reads and writes Parquet, also from other sources
card.py        describes a set of traces, as Markdown and a picture
"""
