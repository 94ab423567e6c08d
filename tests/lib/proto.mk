# Messages that only tests use: libtestproto.a and a descriptor set.
TEST_PROTO_FILES = tests/lib/proto/types.proto tests/lib/proto/legacy.proto
TEST_PROTO_C = $(TEST_PROTO_FILES:.proto=.pb-c.c) tests/lib/google/protobuf/wrappers.pb-c.c
TEST_PROTO_H = $(TEST_PROTO_C:.c=.h)

EXTRA_DIST += $(TEST_PROTO_FILES)
CLEANFILES += $(TEST_PROTO_C) $(TEST_PROTO_H)

$(TEST_PROTO_FILES:.proto=.pb-c.c): %.pb-c.c: %.proto
	@$(MKDIR_P) tests/lib/proto
	$(AM_V_GEN)$(PROTOC_C) -I$(top_srcdir)/tests/lib/proto -I$(PROTO_INCLUDE) \
	    --c_out=tests/lib/proto $<
tests/lib/google/protobuf/wrappers.pb-c.c:
	@$(MKDIR_P) tests/lib
	$(AM_V_GEN)$(PROTOC_C) -I$(PROTO_INCLUDE) --c_out=tests/lib google/protobuf/wrappers.proto
$(TEST_PROTO_H): %.h: %.c
	@:

check_LIBRARIES += libtestproto.a
nodist_libtestproto_a_SOURCES = $(TEST_PROTO_C)
libtestproto_a_SOURCES =
libtestproto_a_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_PROTO_CPPFLAGS)
libtestproto_a_CFLAGS = $(PROJECT_CFLAGS) -Wno-missing-prototypes -Wno-shadow
TEST_PROTO_CPPFLAGS = -Itests/lib
$(libtestproto_a_OBJECTS): $(PROTO_H) $(TEST_PROTO_H)
