"""Weights & Biases."""

from __future__ import annotations

import netrc
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from rlvr.base.files import write_text
from rlvr.record.trackers import Sample, TrackedStage


def mode(environment: Mapping[str, str]) -> str:
    """The value of WANDB_MODE; if unset, "online" with a key (WANDB_API_KEY, `wandb login`), else "offline".

    Offline, no connection is attempted. `wandb login` writes its key into ~/.netrc.
    """
    if stated := environment.get("WANDB_MODE"):
        return "offline" if stated == "dryrun" else stated
    if environment.get("WANDB_API_KEY"):
        return "online"
    host = urlsplit(environment.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    file = Path(environment.get("NETRC") or Path(environment.get("HOME", "~")).expanduser() / ".netrc")
    try:
        known = netrc.netrc(file).hosts
    except (OSError, netrc.NetrcParseError):
        return "offline"
    return "online" if host in known else "offline"


class WandB:
    """A W&B run in the stage's folder `wandb`, continued under the same run id when opened again.

    `mode` decides whether it is online; `wandb sync` uploads an offline run later. Steps are logged as a
    metric, because W&B drops values with a lower step than seen before, which a resumed run sends.
    """

    def __init__(
        self,
        stage: TrackedStage,
        project: str,
        entity: str | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
    ) -> None:
        where = mode(os.environ)
        if where != "online":
            # W&B sends telemetry even when offline, and waits for an answer; only this environment variable
            # turns it off.
            os.environ["WANDB_ERROR_REPORTING"] = "false"
        import wandb

        stage.folder.mkdir(parents=True, exist_ok=True)
        id_file = stage.folder / "wandb_id"
        if not id_file.exists():
            write_text(id_file, secrets.token_hex(4))
        self._table = wandb.Table
        self._run = wandb.init(
            project=project,
            entity=entity,
            tags=list(tags),
            notes=notes,
            dir=str(stage.folder),
            id=id_file.read_text(),
            name=stage.arm,
            group=stage.group,
            job_type=stage.name,
            config=dict(stage.config),
            mode=where,  # type: ignore[arg-type]
            resume="allow",
            reinit="create_new",
            # short timeouts: at its end the process waits for W&B's own threads
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=10,
                finish_timeout=10,
                finish_timeout_raises=True,
            ),
        )
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log({"step": step, **metrics})

    def samples(self, step: int, kind: str, rows: Sequence[Sample]) -> None:
        table = self._table(columns=list(Sample._fields), data=[list(row) for row in rows])
        self._run.log({"step": step, f"samples/{kind}": table})

    def close(self) -> None:
        self._run.finish()
