check_PROGRAMS += tests/unit/rpc_http/rpc_http_test
TESTS += tests/unit/rpc_http/rpc_http_test
tests_unit_rpc_http_rpc_http_test_SOURCES = \
	tests/unit/rpc_http/client_test.c \
	tests/unit/rpc_http/exchange.c \
	tests/unit/rpc_http/fetch_test.c \
	tests/unit/rpc_http/proxy_reset_test.c \
	tests/unit/rpc_http/proxy_test.c \
	tests/unit/rpc_http/rpc_http_test.c \
	tests/unit/rpc_http/rpc_http_tests.h \
	tests/unit/rpc_http/server_limit_test.c \
	tests/unit/rpc_http/server_test.c \
	tests/unit/rpc_http/sweep_test.c \
	tests/unit/rpc_http/world.c \
	tests/lib/cert.c \
	tests/lib/cert.h \
	tests/lib/test.h
tests_unit_rpc_http_rpc_http_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_rpc_http_rpc_http_test_LDADD = librpc.a libio.a libwire.a libloop.a libbase.a \
	$(EVENT_LIBS) $(OPENSSL_LIBS) $(NGHTTP2_LIBS) $(HTTP_PARSER_LIBS) $(PROTOBUF_C_LIBS) \
	$(JANSSON_LIBS) $(CHECK_LIBS)
