"""Where the arms of a sweep run."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from rlvr.sweep.arms import Arm
from rlvr.sweep.command import Sweep


def sequential(arms: Sequence[Arm], sweep: Sweep) -> None:
    """One after the other, in this process."""
    for number, arm in enumerate(arms, 1):
        if sweep.stop:
            return
        print(f"\narm {number} of {len(arms)}: {arm.name}", flush=True)
        try:
            sweep.run(arm.arguments)
        except SystemExit:  # the arm was stopped, and with it the sweep
            return
        except Exception:  # noqa: BLE001  whatever it is, it is written down, and no other arm's business
            traceback.print_exc()
