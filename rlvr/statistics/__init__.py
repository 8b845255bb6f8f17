"""What can be said from samples: intervals, tests, and when a change may be called one."""
