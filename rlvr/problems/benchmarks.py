"""Problem sets for evaluation: benchmarks, from the hub or from a file, and the user's own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rlvr.base.targets import known_names
from rlvr.problems.choices import shuffled
from rlvr.problems.config import BenchmarkConfig, PromptConfig
from rlvr.problems.files import file_rows, from_file
from rlvr.problems.load import load_problems
from rlvr.problems.prompts import fill_template
from rlvr.types import ConfigError, DataError, Problem

GROUP = "benchmark"  # folder of the configuration
FILES = (".jsonl", ".ndjson", ".csv", ".parquet", ".gz")
FROM_HUB = "rlvr.problems.files.from_hub"


@dataclass(frozen=True)
class ProblemSet:
    name: str
    problems: list[Problem]
    source: str  # hub name, import path or file
    template: str  # the default prompt template
    by: list[str]  # columns that results are split by
    stop: list[str] | None = None  # strings that end an answer, by default


def load_sets(entries: Sequence[str], seed: int, folders: Sequence[Path]) -> list[ProblemSet]:
    """Load the sets that `entries` name: each a benchmark, a file, or name=file.

    folders: configuration folders, with benchmarks in benchmark/NAME.yaml; the first folder takes precedence.
    seed: for the order of multiple-choice options.

    Raises ConfigError for a name that does not exist or is repeated, DataError for errors in the data, with
    file and line.
    """
    sets: dict[str, ProblemSet] = {}
    for entry in entries:
        name, given, path = entry.partition("=")
        benchmarks = benchmark_files(folders)
        if not given and ("/" in entry or entry.endswith(FILES)):
            name, path = Path(entry).name.partition(".")[0], entry
            benchmark = BenchmarkConfig()
        elif name in benchmarks:
            benchmark = read_benchmark(benchmarks[name])
        elif given:
            benchmark = BenchmarkConfig()
        else:
            raise ConfigError(
                f"problems names {name!r}, which is not a benchmark; {known_names(name, benchmarks)} "
                "(or give a file: .jsonl, .csv, .parquet)"
            )
        if not name or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise ConfigError(
                f"problems: {name!r} is not a valid name for a set; give one, as in mine={path or 'FILE'}"
            )
        if given and not path:
            raise ConfigError(f"problems: {entry!r} names no file; write {name}=FILE.jsonl")
        if name in sets:
            raise ConfigError(f"problems names {name} twice; rename one of them: {name}2={path or 'FILE'}")
        sets[name] = _load(name, benchmark, path or None, seed)
    return list(sets.values())


def benchmark_files(folders: Sequence[Path]) -> dict[str, Path]:
    """Maps the name of each benchmark to its YAML file."""
    files = [path for folder in reversed(folders) for path in sorted((folder / GROUP).glob("*.yaml"))]
    named = {path.stem: path for path in files}
    return dict(sorted(named.items()))


def read_benchmark(path: Path) -> BenchmarkConfig:
    """Read a benchmark's YAML file. Raises ConfigError if it is not valid."""
    try:
        read = OmegaConf.merge(OmegaConf.structured(BenchmarkConfig), OmegaConf.load(path))
        benchmark = OmegaConf.to_object(read)
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from error
    assert isinstance(benchmark, BenchmarkConfig)
    if "_target_" not in benchmark.source:
        raise ConfigError(f"{path}: source must have _target_: the import path of a problem source")
    return benchmark


def _load(name: str, benchmark: BenchmarkConfig, path: str | None, seed: int) -> ProblemSet:
    source = benchmark.source
    columns: Mapping[str, str] = source.get("columns", {})
    if path is None:
        problems, as_on_hub = _from_source(name, benchmark), True
        where = str(source.get("name", source["_target_"]))
    else:
        rows, _ = file_rows(path)
        first = next(rows, ("", {}))[1]
        # the file has the hub's columns, or ours: id, problem, answer
        as_on_hub = bool(columns) and {*columns.values(), *benchmark.options} <= set(first)
        pattern = source.get("answer_pattern") if as_on_hub else None
        problems, where = from_file(path, columns if as_on_hub else None, answer_pattern=pattern), path
    if as_on_hub and benchmark.options:
        problems = [_with_options(problem, benchmark.options, where) for problem in problems]
    if as_on_hub and benchmark.text:
        joined = PromptConfig(benchmark.text)
        problems = [replace(problem, text=fill_template(problem, joined)) for problem in problems]
    if benchmark.shuffle:
        problems = shuffled(problems, seed)
    return ProblemSet(name, problems, where, benchmark.template, list(benchmark.by), benchmark.stop)


def _from_source(name: str, benchmark: BenchmarkConfig) -> list[Problem]:
    try:
        return load_problems(f"problems {name}", benchmark.source)
    except DataError as error:
        if benchmark.source["_target_"] != FROM_HUB:
            raise
        note = f"{benchmark.note}; " if benchmark.note else ""
        raise DataError(f"{error} ({note}or give its file: problems=[{name}=FILE.jsonl])") from error


def _with_options(problem: Problem, options: Sequence[str], where: str) -> Problem:
    """A multiple-choice problem from options in separate columns. The first is correct, until shuffled."""
    texts = [problem.answer, *(problem.columns.get(column) for column in options[1:])]
    if any(not isinstance(text, str) or not text.strip() for text in texts):
        raise DataError(f"{where}: problem {problem.id!r} lacks one of its options {', '.join(options)}")
    stripped = [str(text).strip() for text in texts]
    return replace(problem, answer="A", columns={**problem.columns, "options": stripped})
