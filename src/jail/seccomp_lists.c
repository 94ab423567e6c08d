/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left out on purpose: the mount family, chroot, pivot_root, namespaces (setns, unshare),
 * modules, kexec, bpf, perf_event_open, userfaultfd, io_uring, keys, clock setting, ioperm/iopl,
 * swap, quota, acct, reboot, syslog, open_by_handle_at, fanotify, NUMA migration, lookup_dcookie,
 * vhangup and the calls that only old or foreign systems have. clone, socket and personality are
 * allowed by argument in seccomp.c.
 */
#include "jail/seccomp_lists.h"

#include <stddef.h>

const char *const seccomp_list_common[] = {
	/* memory */
	"brk", "mmap", "munmap", "mprotect", "mremap", "madvise", "mincore", "msync", "mlock",
	"mlock2", "munlock", "mlockall", "munlockall", "membarrier", "memfd_create", "pkey_alloc",
	"pkey_free", "pkey_mprotect",
	/* descriptors */
	"read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev",
	"pwritev2", "close", "close_range", "dup", "dup2", "dup3", "fcntl", "ioctl", "lseek",
	"pipe", "pipe2", "splice", "tee", "vmsplice", "sendfile", "copy_file_range", "eventfd",
	"eventfd2", "signalfd", "signalfd4", "timerfd_create", "timerfd_gettime", "timerfd_settime",
	"inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	/* files */
	"open", "openat", "openat2", "creat", "stat", "fstat", "lstat", "newfstatat", "statx",
	"statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
	"getcwd", "chdir", "fchdir", "getdents", "getdents64", "mkdir", "mkdirat", "rmdir",
	"unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink",
	"symlinkat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat",
	"umask", "truncate", "ftruncate", "fallocate", "fadvise64", "readahead", "utime", "utimes",
	"utimensat", "futimesat", "flock", "fsync", "fdatasync", "sync", "syncfs",
	"sync_file_range", "getxattr", "lgetxattr", "fgetxattr", "setxattr", "lsetxattr",
	"fsetxattr", "listxattr", "llistxattr", "flistxattr", "removexattr", "lremovexattr",
	"fremovexattr",
	/* waiting */
	"poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl",
	"epoll_ctl_old", "epoll_wait", "epoll_wait_old", "epoll_pwait", "epoll_pwait2", "futex",
	"futex_waitv", "pause", "restart_syscall",
	/* time */
	"time", "gettimeofday", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep",
	"alarm", "getitimer", "setitimer", "timer_create", "timer_delete", "timer_getoverrun",
	"timer_gettime", "timer_settime", "times",
	/* signals and threads */
	"rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn",
	"rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo", "sigaltstack", "kill", "tkill",
	"tgkill", "set_robust_list", "get_robust_list", "set_tid_address", "gettid", "rseq",
	"arch_prctl", "set_thread_area", "get_thread_area", "exit", "exit_group",
	/* who and where we are */
	"getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid",
	"getgroups", "getpgid", "getpgrp", "getsid", "getpriority", "getrlimit", "getrusage",
	"uname", "sysinfo", "getcpu", "getrandom", "capget", "prctl", "sched_getaffinity",
	"sched_setaffinity", "sched_yield", "sched_getparam", "sched_getscheduler", "sched_getattr",
	"sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval", NULL
};

const char *const seccomp_list_network[] = { "socketpair", "bind", "listen", "accept", "accept4",
	"connect", "getsockname", "getpeername", "getsockopt", "setsockopt", "sendto", "sendmsg",
	"sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "shutdown", NULL };

const char *const seccomp_list_process[] = { "execve", "execveat", "fork", "vfork", "wait4",
	"waitid", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "ptrace", "process_vm_readv",
	"process_vm_writev", "process_madvise", "process_mrelease", "setpgid", "setsid", "setuid",
	"setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid",
	"setgroups", "setpriority", "capset", "seccomp", "landlock_create_ruleset",
	"landlock_add_rule", "landlock_restrict_self", "sched_setscheduler", "sched_setparam",
	"sched_setattr", "ioprio_get", "ioprio_set", NULL };

const char *const seccomp_list_machine[] = {
	/* System V IPC, POSIX queues: in the sandbox's own IPC namespace */
	"shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget",
	"msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive",
	"mq_notify", "mq_getsetattr",
	/* old asynchronous I/O (databases), and what runtimes ask about memory placement */
	"io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents",
	"get_mempolicy", "remap_file_pages", "mknod", "mknodat", "name_to_handle_at", NULL
};
