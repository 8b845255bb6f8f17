"""Names of the files that stages and runs write."""

RESULT = "result.json"  # of a stage that makes a model: its checkpoint, and the amount of its data
UNEVALUATED = "unevaluated.json"  # of RL stopped during an evaluation: the step and its other metrics
TRACES = "traces.parquet"
OVERLAPS = "overlaps.json"  # problem id → evaluation problem with which it shares words, and the words
KEPT = "problems.jsonl"  # of a stage that makes problems
CHANGES = "changes.jsonl"  # settings that were changed on resume, with the step
REPORT = "report.html"  # in the folder of a run
STAGES = "stages.json"  # of a recipe's run: stage → its folder
MANIFEST = "manifest.json"  # of a recipe's stage: what it was made from
RESULTS = "results.json"  # of an evaluation that is done
RESULTS_TABLE = "results.md"  # of `rlvr evaluate`, written last
CONTENTS = "contents.json"  # in a run: file or user code that it uses → fingerprint
ARM = "arm.json"  # of a sweep: the values that make it, its settings, and the content of what they name
