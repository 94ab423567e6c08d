check_PROGRAMS += tests/unit/io/io_test
TESTS += tests/unit/io/io_test
tests_unit_io_io_test_SOURCES = \
	tests/unit/io/io_test.c \
	tests/unit/io/io_tests.h \
	tests/unit/io/listener_test.c \
	tests/unit/io/stream_end_test.c \
	tests/unit/io/stream_test.c \
	tests/unit/io/tls_test.c \
	tests/lib/cert.c \
	tests/lib/cert.h \
	tests/lib/test.h
tests_unit_io_io_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_io_io_test_LDADD = libio.a libloop.a libbase.a $(EVENT_LIBS) $(OPENSSL_LIBS) \
	$(JANSSON_LIBS) $(CHECK_LIBS)
