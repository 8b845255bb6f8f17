"""Names of what stages leave in their folders."""

RESULT = "result.json"  # of a stage that makes a model: its checkpoint, and what it learned from
UNEVALUATED = "unevaluated.json"  # of RL, stopped in an evaluation: the step, and its other metrics
TRACES = "traces.parquet"
OVERLAPS = "overlaps.json"  # problem id → the evaluation problem that it shares words with, and the words
KEPT = "problems.jsonl"  # of a stage that makes problems
CHANGES = "changes.jsonl"  # settings that a resume has changed, with the step
REPORT = "report.html"  # in the folder of a run
STAGES = "stages.json"  # of a recipe's run: stage → its folder
MANIFEST = "manifest.json"  # of a recipe's stage: what it was made from
RESULTS = "results.json"  # of an evaluation that is done
RESULTS_TABLE = "results.md"  # of `rlvr evaluate`: what it writes last
CONTENTS = "contents.json"  # in a run: file, or code of the user's, that it reads → fingerprint
ARM = "arm.json"  # of a sweep: the values that make it, its settings, and the content of what they name
