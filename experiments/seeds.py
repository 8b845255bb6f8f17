"""The seeds of a recipe as one table and one plot, from the tables of their runs alone.

rlvr recipe -m recipe=quickstart seed=0,1,2
python experiments/seeds.py experiments/quickstart runs/quickstart/sweep-*/*
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from rlvr.results.seeds import draw_seeds, seeds_table


def main() -> None:
    folder, *paths = map(Path, sys.argv[1:])
    runs = [path for path in paths if (path / "table.csv").exists()]
    tables = [run / "table.csv" for run in runs]
    versions = [json.loads((run / "versions.json").read_text()) for run in runs]
    results = [
        {
            "machine": {key: version[key] for key in ("git", "cpu", "python", "platform")},
            "table": list(csv.DictReader(table.open())),
        }
        for version, table in zip(versions, tables, strict=True)
    ]
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    draw_seeds(tables, folder / "table.png")
    print(seeds_table(tables))


if __name__ == "__main__":
    main()
