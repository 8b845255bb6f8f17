"""MLflow, in a database file that all runs share, or on a server."""

from __future__ import annotations

import csv
import io
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from fcntl import LOCK_EX, flock
from importlib import import_module
from typing import Any

from rlvr.base.files import write_text
from rlvr.base.identity import flattened
from rlvr.record.trackers import Sample, TrackedStage

LONGEST_PARAM = 500  # characters; accepted by every version of MLflow
WAIT_SECONDS = 60  # for another run's write
BATCH = 100  # params per request; MLflow's limit


class MLflow:
    """An MLflow run, continued under the same id when opened again.

    `uri` is the address of a tracking server or database. The default is MLFLOW_TRACKING_URI, or else
    `runs/mlflow/mlflow.db` (SQLite; `mlflow ui --backend-store-uri sqlite:///PATH` shows it), which all runs
    share. For a run outside a folder `runs`, the file is next to the run's folder. The experiment is the
    configuration's `name`, the run is ARM/STAGE, and all settings are its params.
    """

    def __init__(self, stage: TrackedStage, uri: str | None = None) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = (
            "true"  # otherwise it sends usage data, whatever the server is
        )
        # an optional dependency, without type annotations
        self._mlflow: Any = import_module("mlflow")
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        uri = uri or os.environ.get("MLFLOW_TRACKING_URI")
        if uri is not None:
            self._begin(stage, uri, None)
            return
        above = stage.run.absolute().parents
        local = next((folder for folder in above if folder.name == "runs"), above[0]) / "mlflow"
        local.mkdir(parents=True, exist_ok=True)
        # creating the tables concurrently would fail; later writes wait for each other
        with (local / "lock").open("w") as lock:
            flock(lock, LOCK_EX)
            database = f"sqlite:///{local / 'mlflow.db'}?timeout={WAIT_SECONDS}"
            self._begin(stage, database, (local / "artifacts").as_uri())

    def _begin(self, stage: TrackedStage, uri: str, artifacts: str | None) -> None:
        """Open or create the stage's run; `artifacts` is where a new experiment stores its files."""
        self._client = self._mlflow.MlflowClient(uri)
        id_file = stage.folder / "mlflow_id"
        if id_file.exists():
            try:
                self._run: str = self._client.get_run(id_file.read_text()).info.run_id
                self._client.update_run(self._run, status="RUNNING")
                return
            except self._mlflow.MlflowException as error:
                # the stage was begun with another server: log to this one from here on
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        found = self._client.get_experiment_by_name(stage.experiment)
        experiment = (
            found.experiment_id
            if found
            else self._client.create_experiment(stage.experiment, artifact_location=artifacts)
        )
        tags = {"group": stage.group, "arm": stage.arm, "stage": stage.name}
        created = self._client.create_run(experiment, tags=tags, run_name=f"{stage.arm}/{stage.name}")
        self._run = created.info.run_id
        write_text(id_file, self._run)
        self._log_params(stage.config)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        now = time.time_ns() // 1_000_000
        values = [
            self._mlflow.entities.Metric(allowed(name), float(value), now, step)
            for name, value in metrics.items()
        ]
        self._client.log_batch(self._run, metrics=values)

    def samples(self, step: int, kind: str, rows: Sequence[Sample]) -> None:
        """Log a CSV file, which MLflow shows as a table."""
        out = io.StringIO()
        csv.writer(out).writerows([Sample._fields, *rows])
        self._client.log_text(self._run, out.getvalue(), f"samples/{kind}/step_{step:06d}.csv")

    def close(self) -> None:
        self._client.set_terminated(self._run)

    def _log_params(self, config: Mapping[str, Any]) -> None:
        params = [
            self._mlflow.entities.Param(allowed(key), str(value)[:LONGEST_PARAM])
            for key, value in flattened(config)
        ]
        for start in range(0, len(params), BATCH):
            self._client.log_batch(self._run, params=params[start : start + BATCH])


def allowed(name: str) -> str:
    """`name` in the characters that MLflow accepts.

    >>> allowed("heldout/pass@1")
    'heldout/pass_at_1'
    """
    return re.sub(r"[^\w./: -]", "_", name.replace("@", "_at_"))
