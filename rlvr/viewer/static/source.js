// Which run, stage and kind of rollouts.
import { select } from "./dom.js";

export function sourceFields(runs, { run, stage, kind }, choose) {
  const stages = runs[run].stages.filter((one) => one.kinds.length);
  const kinds = stages.find(({ name }) => name === stage)?.kinds ?? [];
  return [
    select(
      "Run",
      runs.map(({ name }, i) => [String(i), name]),
      String(run),
      (next) => choose({ run: next }),
    ),
    select(
      "Stage",
      stages.map(({ name }) => [name, name]),
      stage,
      (next) => choose({ run, stage: next }),
    ),
    select(
      "Rollouts",
      kinds.map((name) => [name, name === "train" ? "training" : "held out"]),
      kind,
      (next) => choose({ run, stage, kind: next }),
    ),
  ];
}
