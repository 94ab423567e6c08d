check_PROGRAMS += tests/unit/base/base_test
TESTS += tests/unit/base/base_test
tests_unit_base_base_test_SOURCES = \
	tests/unit/base/base_test.c \
	tests/unit/base/base_tests.h \
	tests/unit/base/fd_test.c \
	tests/unit/base/json_test.c \
	tests/unit/base/text_test.c \
	tests/lib/test.h
tests_unit_base_base_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_base_base_test_LDADD = libbase.a $(JANSSON_LIBS) $(CHECK_LIBS)
