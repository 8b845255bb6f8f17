"""Replays in a process of its own: DeepSpeed and its process group stay there.

    python tests/replay/replay_worker.py RUN OUT CASES.json

Each case is a name with arguments of `rlvr replay RUN`; its numbers and gradients become OUT/NAME.json and
OUT/NAME.safetensors. The weights after redoing all steps before 5 become OUT/redone.safetensors.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def work(run: Path, out: Path, cases: dict[str, list[str]]) -> None:
    from rlvr.commands.replay import main

    for name, arguments in cases.items():
        files = ["--json", str(out / f"{name}.json"), "--gradients", str(out / f"{name}.safetensors")]
        assert main([*arguments, *files]) == 0, name

    from safetensors.torch import save_file

    from rlvr.replay.recorded import Origin, open_recorded
    from rlvr.replay.steps import models_before

    replica = models_before(open_recorded(run), Origin(0, None), 5, out)
    save_file(replica.weights(), out / "redone.safetensors")


if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text()))
