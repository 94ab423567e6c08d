check_PROGRAMS += tests/unit/loop/loop_test
TESTS += tests/unit/loop/loop_test
tests_unit_loop_loop_test_SOURCES = \
	tests/unit/loop/loop_test.c \
	tests/unit/loop/loop_tests.h \
	tests/unit/loop/op_test.c \
	tests/lib/test.h
tests_unit_loop_loop_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_loop_loop_test_LDADD = libloop.a libbase.a $(EVENT_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
