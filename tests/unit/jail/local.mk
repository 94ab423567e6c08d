check_PROGRAMS += tests/unit/jail/jail_test
TESTS += tests/unit/jail/jail_test
tests_unit_jail_jail_test_SOURCES = \
	tests/unit/jail/cgroup_test.c \
	tests/unit/jail/confine_test.c \
	tests/unit/jail/jail_test.c \
	tests/unit/jail/jail_tests.h \
	tests/unit/jail/seccomp_test.c
tests_unit_jail_jail_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_jail_jail_test_LDADD = libjail.a libbase.a $(SECCOMP_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
