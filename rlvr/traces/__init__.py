"""Worked answers as training data: labelled, without duplicates and overlaps, chosen, paired, described.

traces.py      `Trace`: an answer, its verdict and its labels; from groups of rollouts
labels.py      pass rate, length, repetition, domain
duplicates.py  the same problem under several ids, the same answer twice
overlap.py     problems that share n-grams with an evaluation set
choose.py      which traces SFT and mid-training learn from
pairs.py       a correct and an incorrect answer to one problem, for DPO
config.py      the settings of both; criteria.py: what they have in common
files.py       Parquet, exact; also data that others made
card.py        what a set of traces is, as Markdown and a picture
"""
