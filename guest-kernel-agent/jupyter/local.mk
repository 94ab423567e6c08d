# guest-kernel-agent/jupyter: kernels and contexts, with the Python files and the user table they need
noinst_LIBRARIES += libjupyter.a
libjupyter_a_SOURCES = \
	guest-kernel-agent/jupyter/channel.c guest-kernel-agent/jupyter/channel.h \
	guest-kernel-agent/jupyter/context.c guest-kernel-agent/jupyter/context.h \
	guest-kernel-agent/jupyter/context_private.h \
	guest-kernel-agent/jupyter/contexts.c \
	guest-kernel-agent/jupyter/exec.c \
	guest-kernel-agent/jupyter/kernel.c guest-kernel-agent/jupyter/kernel.h \
	guest-kernel-agent/jupyter/kernel_output.c guest-kernel-agent/jupyter/kernel_private.h \
	guest-kernel-agent/jupyter/kernel_start.c \
	guest-kernel-agent/jupyter/kernel_watch.c \
	guest-kernel-agent/jupyter/kernelspec.c guest-kernel-agent/jupyter/kernelspec.h \
	guest-kernel-agent/jupyter/language.c guest-kernel-agent/jupyter/language.h \
	guest-kernel-agent/jupyter/message.c guest-kernel-agent/jupyter/message.h \
	guest-kernel-agent/jupyter/text.c guest-kernel-agent/jupyter/text.h \
	guest-kernel-agent/jupyter/zmtp.c guest-kernel-agent/jupyter/zmtp.h \
	guest-kernel-agent/python/install.c guest-kernel-agent/python/install.h \
	guest-kernel-agent/system/counter.c guest-kernel-agent/system/counter.h \
	guest-kernel-agent/system/environ.c guest-kernel-agent/system/environ.h \
	guest-kernel-agent/system/oom.c guest-kernel-agent/system/oom.h \
	guest-kernel-agent/system/spawn.c guest-kernel-agent/system/spawn.h \
	guest-kernel-agent/system/tree.c guest-kernel-agent/system/tree.h \
	guest-kernel-agent/system/users.c guest-kernel-agent/system/users.h
