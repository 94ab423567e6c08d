check_PROGRAMS += tests/unit/wire_rpc/wire_rpc_test
TESTS += tests/unit/wire_rpc/wire_rpc_test
tests_unit_wire_rpc_wire_rpc_test_SOURCES = \
	tests/unit/wire_rpc/codes_test.c \
	tests/unit/wire_rpc/frame_test.c \
	tests/unit/wire_rpc/pbwire_test.c \
	tests/unit/wire_rpc/pjson_refuse_test.c \
	tests/unit/wire_rpc/pjson_test.c \
	tests/unit/wire_rpc/pjson_time_test.c \
	tests/unit/wire_rpc/wire_rpc_test.c \
	tests/unit/wire_rpc/wire_rpc_tests.h
tests_unit_wire_rpc_wire_rpc_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS) $(TEST_PROTO_CPPFLAGS)
tests_unit_wire_rpc_wire_rpc_test_LDADD = libtestproto.a libwire.a libproto.a libbase.a \
	$(PROTOBUF_C_LIBS) $(CRYPTO_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS) -lm
$(tests_unit_wire_rpc_wire_rpc_test_OBJECTS): $(PROTO_H) $(TEST_PROTO_H)
