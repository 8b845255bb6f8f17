"""Python that a model wrote, run in processes that can do nothing but compute.

Prevented, by the kernel (x86-64 and aarch64, unprivileged, in a container as well):

- network, other processes, signals to others, debugging others, System V and POSIX shared memory,
  raised limits, and every other system call that is not named in `jail`: a seccomp filter;
- writing, creating, renaming or removing any file, which includes temporary ones: the same filter;
- reading files other than Python's standard library, the system's libraries, and the installed packages that
  a setting names: Landlock (Linux ≥ 5.13);
- more address space, CPU time or open files than the limits allow; core dumps: resource limits;
- outliving the caller: the process cannot fork, is killed at the deadline, and ends with its parent.

Not prevented: reading the clock, finding out whether a path exists, asking for randomness, using many threads
(their number is only bounded by the address space), side channels of the machine, and faults of the kernel.
Python starts without site-packages, environment and user folder.

Expected results never enter the program's process. It gets its source, and then one request at a time: the
names and arguments of a call. It replies with data, from which plain values are rebuilt by an allow-list
(`wire`). So it can send any value, but nothing else. Whether a test is passed is decided in the caller's
process (`rlvr.rewards.code_tests`).

`run` is the caller's side, `child` the main function of a process, and `program` answers requests.
"""
