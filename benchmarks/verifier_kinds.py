"""How often the verifier errs, by kind of answer: the catalogue of `rlvr.audit.catalogue` put to it.

    python benchmarks/verifier_kinds.py                    # tables in Markdown
    python benchmarks/verifier_kinds.py --write            # into docs/verifier.md, between its marks
    python benchmarks/verifier_kinds.py --failures a.txt   # what fails of half a, to learn from

Every rewriting is applied to generated golds of its kind, and a few that are drawn to each distinct gold
of GSM8K, MATH, AMC and AIME, where ../shared/data has them. Those that keep the value must be equal, those
that change it must not: by construction, whatever the verifier says. A changed gold is also written anew.
Where the text of a gold leaves its kind open (3-1), the kind is stated, as `rlvr audit` asks for.
Rewritings are in two halves by a hash of their names: rules may be tuned on half a; the failures of half b
are never shown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random

from rlvr.audit.catalogue import CATALOGUE, Gold
from rlvr.audit.catalogue.entry import Entry, Rewriting
from rlvr.audit.catalogue.reading import bare, read_data
from rlvr.audit.rates import wilson_interval
from rlvr.verify.check import equal_answers
from rlvr.verify.kinds import Kind
from rlvr.verify.reference import read_reference
from rlvr.verify.settings import VerifySettings

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
SETS = ("gsm8k_train", "gsm8k_test", "math_train_rl", "math_sft4500", "math500", "amc23", "aime24")
DOCS = ROOT / "docs" / "verifier.md"
MARKS = ("<!-- kinds: begin -->\n", "<!-- kinds: end -->\n")
GENERATED = 24  # golds of each kind
DRAWN = 6  # rewritings of each gold of a data set that keep its value, and as many that change it


@dataclass(frozen=True)
class Trial:
    kind: Kind
    name: str
    half: str
    keeps: bool
    gold: str
    answer: str
    error: bool


def try_answer(kind: Kind, rewriting: Rewriting, gold: str, answer: str) -> Trial:
    reference = read_reference(gold)
    settings = VerifySettings(kind=kind.value) if reference.doubt else VerifySettings()
    equal = equal_answers(answer, gold, settings).equal
    return Trial(
        kind, rewriting.name, rewriting.half, rewriting.keeps, gold, answer, equal != rewriting.keeps
    )


def generated() -> Iterator[Trial]:
    for kind, entry in CATALOGUE.items():
        for place in range(GENERATED):
            rng = Random(f"{kind.value} {place}")
            gold = entry.draw(rng)
            for rewriting in entry.rewritings():
                if (answer := rewriting.write(gold, rng)) is not None:
                    yield try_answer(kind, rewriting, gold.text, answer)
                if (answer := disguised(entry, gold, rewriting, rng)) is not None:
                    yield try_answer(
                        kind, replace(rewriting, name=f"{rewriting.name}, written anew"), gold.text, answer
                    )


def disguised(entry: Entry, gold: Gold, rewriting: Rewriting, rng: Random) -> str | None:
    """A changed gold, written in a way of the same half that keeps its value."""
    if rewriting.keeps:
        return None
    changed = entry.changes[rewriting.name](gold, rng)
    if changed is None or isinstance(changed, str) or changed.value == gold.value:
        return None
    keeping = [found for found in entry.rewritings() if found.keeps and found.half == rewriting.half]
    return rng.choice(keeping).write(changed, rng)


def of_data() -> Iterator[Trial]:
    golds = sorted({bare(answer) for name in SETS for answer in answers(name)})
    for text in golds:
        kind = read_reference(text).kind
        rng = Random(text)
        entry, gold = read_data(kind, text)
        for keeps in (True, False):
            found = [rewriting for rewriting in entry.rewritings() if rewriting.keeps == keeps]
            written = ((rewriting, rewriting.write(gold, rng)) for rewriting in rng.sample(found, len(found)))
            applied = ((rewriting, answer) for rewriting, answer in written if answer is not None)
            for rewriting, answer in islice(applied, DRAWN):
                yield try_answer(kind, rewriting, text, answer)


def answers(name: str) -> Iterator[str]:
    path = DATA / f"{name}.jsonl"
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield str(json.loads(line)["answer"])


def table(trials: list[Trial]) -> str:
    """Rates of both errors, by kind and together, with 95% intervals (Wilson score)."""
    by_kind: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_kind[trial.kind.value].append(trial)
    lines = [
        "| kind | golds | kept | taken for wrong (95%) | changed | taken for right (95%) |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    rows = [(name, by_kind[name]) for name in map(str, Kind) if by_kind[name]]
    for half in "ab":
        rows.append((f"**all, half {half}**", [trial for trial in trials if trial.half == half]))
    for name, found in [*rows, ("**all**", trials)]:
        kept, changed = ([trial for trial in found if trial.keeps == keeps] for keeps in (True, False))
        golds = len({trial.gold for trial in found})
        lines.append(
            f"| {name} | {golds:,} | {len(kept):,} | {share(kept)} | {len(changed):,} | {share(changed)} |"
        )
    return "\n".join(lines) + "\n"


def share(trials: list[Trial]) -> str:
    if not trials:
        return "–"
    errors = sum(trial.error for trial in trials)
    low, high = wilson_interval(errors, len(trials))
    return f"{errors / len(trials):.1%} ({100 * low:.1f}–{100 * high:.1f})"


def failures(trials: list[Trial]) -> str:
    lines = []
    for trial in sorted(trials, key=lambda trial: (trial.keeps, trial.kind, trial.name)):
        if trial.error and trial.half == "a":
            said = "MISSED, must be equal" if trial.keeps else "PASSED, must differ"
            lines.append(f"{trial.kind.value} | {said} | {trial.name} | {trial.gold!r} | {trial.answer!r}")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCS.relative_to(ROOT)}")
    parser.add_argument("--failures", type=Path, help="file for the failures of half a")
    options = parser.parse_args()
    made, data = list(generated()), list(of_data())
    text = f"Generated golds:\n\n{table(made)}"
    if data:
        text += f"\nDistinct golds of GSM8K, MATH, AMC 23 and AIME 24:\n\n{table(data)}"
    print(text)
    if options.failures:
        options.failures.write_text(failures(made) + failures(data), encoding="utf-8")
    if options.write:
        before, begin, rest = DOCS.read_text(encoding="utf-8").partition(MARKS[0])
        _, end, after = rest.partition(MARKS[1])
        if not end:
            print(f"{DOCS} lacks {MARKS[0].strip()} … {MARKS[1].strip()}", file=sys.stderr)
            return 2
        DOCS.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
