"""Python that a model wrote, run in processes that can do nothing but compute.

Prevented, by the kernel (x86-64 and aarch64, unprivileged, in a container as well):

- network, other processes, signals to others, debugging others, System V and POSIX shared memory,
  raised limits, and every other system call that is not named in `jail`: a seccomp filter;
- writing, creating, renaming or removing any file, which includes temporary ones: the same filter;
- reading files other than Python's own library and the system's, without packages that are installed beside
  it, but for those that a setting names: Landlock (Linux ≥ 5.13);
- more address space, CPU time or open files than the limits allow; core dumps: resource limits;
- outliving the caller: the process cannot fork, is killed at the deadline, and dies with its parent.

Not prevented: reading the clock, finding out whether a path exists, asking for randomness, using many threads
(their number is bounded by the address space alone), side channels of the machine, and faults of the kernel.
Python starts without site-packages, environment and user folder.

What is expected of a program never enters its process. It is sent its source, and then one request at a time:
the names and arguments of a call. It sends back data, of which plain values are made again by an allow-list
(`wire`); so it can send any value that it likes, and nothing else. Whether a test is passed is decided in the
caller's process (`rlvr.rewards.code_tests`).

`run` is the caller's side, `child` what a process does, and `program` how it answers.
"""
