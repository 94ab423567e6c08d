check_PROGRAMS += tests/unit/wire_http/wire_http_test
TESTS += tests/unit/wire_http/wire_http_test
tests_unit_wire_http_wire_http_test_SOURCES = \
	tests/unit/wire_http/frames.c \
	tests/unit/wire_http/frames.h \
	tests/unit/wire_http/h1_input_test.c \
	tests/unit/wire_http/h1_session_test.c \
	tests/unit/wire_http/h2_flood_test.c \
	tests/unit/wire_http/h2_session_test.c \
	tests/unit/wire_http/harness.c \
	tests/unit/wire_http/harness.h \
	tests/unit/wire_http/multipart_test.c \
	tests/unit/wire_http/pair_test.c \
	tests/unit/wire_http/reentry_test.c \
	tests/unit/wire_http/select_test.c \
	tests/unit/wire_http/sweep_test.c \
	tests/unit/wire_http/tunnel_test.c \
	tests/unit/wire_http/wire_http_test.c \
	tests/lib/test.h
tests_unit_wire_http_wire_http_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_wire_http_wire_http_test_LDADD = libwire.a libbase.a $(NGHTTP2_LIBS) $(HTTP_PARSER_LIBS) \
	$(CHECK_LIBS)
