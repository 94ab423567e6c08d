check_PROGRAMS += tests/unit/guest/guest_test
TESTS += tests/unit/guest/guest_test
tests_unit_guest_guest_test_SOURCES = \
	tests/unit/guest/channel_test.c \
	tests/unit/guest/guest_test.c \
	tests/unit/guest/guest_tests.h \
	tests/lib/fake_port.c \
	tests/lib/fake_port.h \
	tests/lib/test.h \
	tests/lib/tmpdir.h
tests_unit_guest_guest_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_guest_guest_test_LDADD = libguest.a librpc.a libio.a libwire.a libloop.a libbase.a \
	$(EVENT_LIBS) $(OPENSSL_LIBS) $(NGHTTP2_LIBS) $(HTTP_PARSER_LIBS) $(PROTOBUF_C_LIBS) \
	$(JANSSON_LIBS) $(CHECK_LIBS)
