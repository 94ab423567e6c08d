noinst_LIBRARIES += libdoctor.a
libdoctor_a_SOURCES = \
	src/doctor/check_kernel.c \
	src/doctor/check_machine.c \
	src/doctor/check_programs.c \
	src/doctor/child.c src/doctor/child.h \
	src/doctor/doctor.c src/doctor/doctor.h \
	src/doctor/host.c src/doctor/host.h \
	src/doctor/host_real.c \
	src/doctor/probe.c src/doctor/probe.h \
	src/doctor/report.c src/doctor/report.h \
	src/doctor/scratch.c src/doctor/scratch.h \
	src/doctor/selftest.c src/doctor/selftest.h \
	src/doctor/selftest_judge.c \
	src/doctor/selftest_server.c
