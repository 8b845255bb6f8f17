"""Python that a model wrote, run in processes that can do nothing but compute.

Prevented, by the kernel (x86-64 and aarch64, unprivileged, in a container as well):

- network, other processes, signals to others, debugging others, System V and POSIX shared memory,
  raised limits, and every other system call that is not named in `jail`: a seccomp filter;
- writing, creating, renaming or removing any file, which includes temporary ones: the same filter;
- reading files other than Python's own library and the system's: Landlock (Linux ≥ 5.13);
- more address space, CPU time or open files than the limits allow; core dumps: resource limits;
- outliving the caller: the process cannot fork, is killed at the deadline, and dies with its parent.

Not prevented: reading the clock, finding out whether a path exists, asking for randomness, using many threads
(their number is bounded by the address space alone), side channels of the machine, and faults of the kernel.
Python starts without site-packages, environment and user folder; only the standard library can be imported.

`run` is the caller's side and `child` what a process does; `wire` is how two of them talk.
"""
