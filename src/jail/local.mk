noinst_LIBRARIES += libjail.a
libjail_a_SOURCES = \
	src/jail/caps.c src/jail/caps.h \
	src/jail/cgroup.c src/jail/cgroup.h \
	src/jail/landlock.c src/jail/landlock.h \
	src/jail/mnt.c src/jail/mnt.h \
	src/jail/seccomp.c src/jail/seccomp.h \
	src/jail/seccomp_lists.c src/jail/seccomp_lists.h \
	src/jail/self.c src/jail/self.h \
	src/jail/userns.c src/jail/userns.h
