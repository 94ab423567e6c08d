# C and descriptor set from the .proto files; everything generated stays in the build tree.
PROTO_FILES = \
	proto/filesystem/filesystem.proto \
	proto/process/process.proto \
	proto/sandglass/v1/process.proto \
	proto/sandglass/v1/sandbox.proto \
	proto/sandglass/v1/template.proto \
	proto/sandglass/v1/code_interpreter.proto \
	proto/grpc/health/v1/health.proto \
	proto/grpc/reflection/v1/reflection.proto
PROTO_WELL_KNOWN_C = \
	proto/google/protobuf/duration.pb-c.c \
	proto/google/protobuf/empty.pb-c.c \
	proto/google/protobuf/struct.pb-c.c \
	proto/google/protobuf/timestamp.pb-c.c

PROTO_C = $(PROTO_FILES:.proto=.pb-c.c) $(PROTO_WELL_KNOWN_C)
PROTO_H = $(PROTO_C:.c=.h)

EXTRA_DIST += $(PROTO_FILES)
BUILT_SOURCES += $(PROTO_H) proto/descriptors.h
CLEANFILES += $(PROTO_C) $(PROTO_H) proto/descriptors.h proto/descriptors.fds $(PROTO_ALPHA)

$(PROTO_FILES:.proto=.pb-c.c): %.pb-c.c: %.proto
	@$(MKDIR_P) proto
	$(AM_V_GEN)$(PROTOC_C) -I$(top_srcdir)/proto -I$(PROTO_INCLUDE) --c_out=proto $<
$(PROTO_FILES:.proto=.pb-c.h): %.h: %.c
	@:
$(PROTO_WELL_KNOWN_C):
	@$(MKDIR_P) proto
	$(AM_V_GEN)$(PROTOC_C) -I$(PROTO_INCLUDE) --c_out=proto \
	    google/protobuf/$$(basename $@ .pb-c.c).proto
$(PROTO_WELL_KNOWN_C:.c=.h): %.h: %.c
	@:
# Served under its older name, too, for which tools ask to be told the types.
PROTO_ALPHA = proto/grpc/reflection/v1alpha/reflection.proto
$(PROTO_ALPHA): proto/grpc/reflection/v1/reflection.proto
	@$(MKDIR_P) $(@D)
	$(AM_V_GEN)$(SED) 's/grpc\.reflection\.v1\b/grpc.reflection.v1alpha/' \
	    $(top_srcdir)/proto/grpc/reflection/v1/reflection.proto > $@.tmp && mv $@.tmp $@
proto/descriptors.fds: $(PROTO_FILES) $(PROTO_ALPHA)
	@$(MKDIR_P) proto
	$(AM_V_GEN)$(PROTOC) -I$(top_srcdir)/proto -Iproto -I$(PROTO_INCLUDE) --include_imports \
	    --descriptor_set_out=$@ $(PROTO_FILES:proto/%=$(top_srcdir)/proto/%) $(PROTO_ALPHA)
# static const unsigned char proto_descriptors[]: served by grpc.reflection
proto/descriptors.h: proto/descriptors.fds
	$(AM_V_GEN)(echo 'static const unsigned char proto_descriptors[] = {'; \
	    od -An -v -tu1 -w20 proto/descriptors.fds | $(SED) 's/ *\([0-9][0-9]*\)/\1,/g'; \
	    echo '};') > $@.tmp && mv $@.tmp $@

noinst_LIBRARIES += libproto.a
nodist_libproto_a_SOURCES = $(PROTO_C)
libproto_a_CFLAGS = $(PROJECT_CFLAGS) -Wno-missing-prototypes -Wno-shadow -Wno-missing-braces
