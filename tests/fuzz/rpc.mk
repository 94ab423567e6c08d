FUZZ_TARGETS += tests/fuzz/connect_frame_fuzz tests/fuzz/grpc_frame_fuzz tests/fuzz/pjson_fuzz
FUZZ_RPC_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_PROTO_CPPFLAGS)
FUZZ_RPC_LIBS = libtestproto.a libwire.a libproto.a libbase.a $(PROTOBUF_C_LIBS) $(CRYPTO_LIBS) \
	$(JANSSON_LIBS) -lm
tests_fuzz_connect_frame_fuzz_SOURCES = tests/fuzz/connect_frame_fuzz.c $(FUZZ_MAIN)
tests_fuzz_connect_frame_fuzz_CPPFLAGS = $(FUZZ_RPC_CPPFLAGS)
tests_fuzz_connect_frame_fuzz_LDADD = $(FUZZ_RPC_LIBS)
tests_fuzz_connect_frame_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_grpc_frame_fuzz_SOURCES = tests/fuzz/grpc_frame_fuzz.c $(FUZZ_MAIN)
tests_fuzz_grpc_frame_fuzz_CPPFLAGS = $(FUZZ_RPC_CPPFLAGS)
tests_fuzz_grpc_frame_fuzz_LDADD = $(FUZZ_RPC_LIBS)
tests_fuzz_grpc_frame_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_pjson_fuzz_SOURCES = tests/fuzz/pjson_fuzz.c $(FUZZ_MAIN)
tests_fuzz_pjson_fuzz_CPPFLAGS = $(FUZZ_RPC_CPPFLAGS)
tests_fuzz_pjson_fuzz_LDADD = $(FUZZ_RPC_LIBS)
tests_fuzz_pjson_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
