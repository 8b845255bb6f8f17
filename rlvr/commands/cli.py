"""The `rlvr` command. It is light to import: each command imports what it needs when it runs."""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from rlvr import __version__
from rlvr.base.stopping import StopRequest

COMMANDS = {  # command → the function that takes its arguments and returns the exit code
    "train": "rlvr.commands.train:main",
    "recipe": "rlvr.commands.train:recipe",
    "evaluate": "rlvr.commands.evaluate:main",
    "compare": "rlvr.commands.compare:main",
    "report": "rlvr.commands.report:main",
    "view": "rlvr.commands.view:main",
    "watch": "rlvr.commands.watch:main",
    "replay": "rlvr.commands.replay:main",
    "audit": "rlvr.commands.audit:main",
    "verify": "rlvr.commands.verify:main",
}

# Imports create about a million objects, and nearly all stay alive. By default Python's garbage collector
# runs after every 700 new ones, which takes a fifth of a command's start-up time.
FEW_COLLECTIONS = 50_000

USAGE = """\
rlvr trains small language models with rewards that a program can check.

usage: rlvr COMMAND [ARGUMENT ...]

  recipe   a model through all its stages:    rlvr recipe recipe=quickstart
           some of them, or in another order: rlvr recipe recipe=quickstart stages=[teacher,distill,sft,rl]
  train    a warm start and RL:               rlvr train experiment=quickstart
           for both: the stages and what they need:     … --plan
                     continue a stopped run:            rlvr train resume=runs/NAME/DATE
                     see the configuration first:       rlvr train experiment=quickstart --cfg job
                     a sweep:                           rlvr train -m seed=0,1,2 experiment=quickstart
                     groups and options:                rlvr train --help
  evaluate how good is a model?               rlvr evaluate model=CHECKPOINT problems=[math500,mine.jsonl]
  compare  arms of a sweep, with statistics:  rlvr compare runs/NAME/*
  report   a run as one HTML file:            rlvr report runs/NAME/DATE
  view     its rollouts in the browser:       rlvr view runs/NAME/DATE [runs/OTHER/DATE]
  watch    a run's progress, live:            rlvr watch runs/NAME/DATE
  replay   repeat or vary a recorded step:    rlvr replay runs/NAME/DATE --step 7 --what-if algorithm=dr_grpo
  audit    does a reward deserve trust?       rlvr audit reward=math problems=arithmetic
  verify   check answers in a file:           rlvr verify ANSWERS.jsonl --out VERDICTS.jsonl

rlvr --version   prints the version; rlvr COMMAND --help describes a command
eval "$(rlvr -sc install=bash)"   enables completion of groups, options and settings in the shell
exit codes: 0 done, 1 unexpected error, 2 wrong configuration or data, 3 the run failed,
            4 an audited reward misses a threshold,
            130 stopped by Ctrl-C or SIGTERM (train: after a checkpoint)
"""


def main(arguments: Sequence[str] | None = None, stop: StopRequest | None = None) -> int:
    """Run a command; the exit code. A sweep's arm passes its `stop`, which already handles signals."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot show, as in a model's answer, must not end a run. Python's
        # default ("surrogateescape" in the locale C, else "strict") raises an error for it.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(__version__)
        return 0
    gc.set_threshold(FEW_COLLECTIONS)
    if {"-sc", "--shell-completion"} & set(arguments):
        from rlvr.commands.completion import complete

        return complete(arguments, list(COMMANDS))
    command, *rest = arguments
    if command in COMMANDS:
        module, _, function = COMMANDS[command].partition(":")
        run: Callable[..., int] = getattr(import_module(module), function)
        return run(rest) if stop is None else run(rest, stop)
    known = ", ".join(COMMANDS)
    print(f"rlvr: there is no command {command!r}; there are: {known}\n\n{USAGE}", file=sys.stderr, end="")
    return 2
