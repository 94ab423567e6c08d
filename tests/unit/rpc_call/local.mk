check_PROGRAMS += tests/unit/rpc_call/rpc_call_test
TESTS += tests/unit/rpc_call/rpc_call_test
tests_unit_rpc_call_rpc_call_test_SOURCES = \
	tests/lib/loopback.c \
	tests/lib/loopback.h \
	tests/unit/rpc_call/call_test.c \
	tests/unit/rpc_call/client_call_test.c \
	tests/unit/rpc_call/flow_test.c \
	tests/unit/rpc_call/health_test.c \
	tests/unit/rpc_call/reflection_test.c \
	tests/unit/rpc_call/refuse_test.c \
	tests/unit/rpc_call/rpc_call_test.c \
	tests/unit/rpc_call/rpc_call_tests.h \
	tests/unit/rpc_call/speech.c \
	tests/unit/rpc_call/storm_test.c \
	tests/unit/rpc_call/world.c
tests_unit_rpc_call_rpc_call_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS) $(TEST_PROTO_CPPFLAGS)
tests_unit_rpc_call_rpc_call_test_LDADD = librpc.a libtestproto.a libproto.a libwire.a libio.a \
	libloop.a libbase.a $(NGHTTP2_LIBS) $(HTTP_PARSER_LIBS) $(PROTOBUF_C_LIBS) $(EVENT_LIBS) \
	$(OPENSSL_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS) -lm
$(tests_unit_rpc_call_rpc_call_test_OBJECTS): $(PROTO_H) $(TEST_PROTO_H) proto/descriptors.h
