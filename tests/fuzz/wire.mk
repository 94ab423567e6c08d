FUZZ_TARGETS += tests/fuzz/http1_fuzz tests/fuzz/h2_fuzz
FUZZ_HTTP_LIBS = libwire.a libbase.a $(NGHTTP2_LIBS) $(HTTP_PARSER_LIBS)
tests_fuzz_http1_fuzz_SOURCES = tests/fuzz/http1_fuzz.c tests/fuzz/http_owner.c \
	tests/fuzz/http_owner.h $(FUZZ_MAIN)
tests_fuzz_http1_fuzz_LDADD = $(FUZZ_HTTP_LIBS)
tests_fuzz_http1_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_h2_fuzz_SOURCES = tests/fuzz/h2_fuzz.c tests/fuzz/http_owner.c \
	tests/fuzz/http_owner.h $(FUZZ_MAIN)
tests_fuzz_h2_fuzz_LDADD = $(FUZZ_HTTP_LIBS)
tests_fuzz_h2_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
FUZZ_TARGETS += tests/fuzz/multipart_fuzz
tests_fuzz_multipart_fuzz_SOURCES = tests/fuzz/multipart_fuzz.c $(FUZZ_MAIN)
tests_fuzz_multipart_fuzz_LDADD = libwire.a libbase.a
tests_fuzz_multipart_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
FUZZ_TARGETS += tests/fuzz/fields_fuzz
tests_fuzz_fields_fuzz_SOURCES = tests/fuzz/fields_fuzz.c $(FUZZ_MAIN)
tests_fuzz_fields_fuzz_LDADD = libwire.a libbase.a
tests_fuzz_fields_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
FUZZ_TARGETS += tests/fuzz/serial_link_fuzz
tests_fuzz_serial_link_fuzz_SOURCES = tests/fuzz/serial_link_fuzz.c $(FUZZ_MAIN)
tests_fuzz_serial_link_fuzz_LDADD = libwire.a libbase.a
tests_fuzz_serial_link_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
