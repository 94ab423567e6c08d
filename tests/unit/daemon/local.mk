check_PROGRAMS += tests/unit/daemon/daemon_test
TESTS += tests/unit/daemon/daemon_test
tests_unit_daemon_daemon_test_SOURCES = tests/unit/daemon/backoff_test.c tests/unit/daemon/args_test.c \
	tests/unit/daemon/daemon_tests.h src/daemon/args.c src/daemon/backoff.c
tests_unit_daemon_daemon_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_daemon_daemon_test_LDADD = libbase.a $(CHECK_LIBS)
