"""The run folder: journal, metrics, plots and the table at the end.

    runs/NAME/
      config.yaml         the resolved configuration
      versions.json       machine, packages, commit
      sft/ select/ rl/  one folder per stage, each with
        metrics.jsonl       a line of metrics per step
        journal/train/      step_000012.parquet: every rollout of the step, with its verdict
        journal/heldout/    the same of the held-out evaluation
        tensorboard/ wandb/ curves.png

Progress, plot and table use these metrics; others are logged as well.

    train/reward, train/accuracy            means over the step's rollouts with a verdict; [0, 1] for accuracy
    train/true_steps                        share that is right with all steps true; where answers have steps
    train/loss                              of the optimizer step
    heldout/pass@1, …_low, …_high           with its 95% interval, in [0, 1]; step 0: the initial model
    heldout/true_steps, …_low, …_high       the same of right answers with all steps true
    groups/… learner/… critic/…             diagnostics of the estimators: docs/algorithms.md
    time/step                               seconds per step, of which
    time/generate, reward, learn, publish, idle   (each with the prefix) seconds
    rewards/latency_p50, queue_p99, respawns, cache_hits, …   counters of the reward services (ServiceCounts)
    tokens/sampled (RL), tokens/trained (SFT)   tokens of the step
"""
