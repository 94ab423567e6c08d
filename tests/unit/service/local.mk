check_PROGRAMS += tests/unit/service/service_test
TESTS += tests/unit/service/service_test
tests_unit_service_service_test_SOURCES = \
	tests/unit/service/auth_test.c \
	tests/unit/service/body_test.c \
	tests/unit/service/gateway_test.c \
	tests/unit/service/list_test.c \
	tests/unit/service/memory_test.c \
	tests/unit/service/part_test.c \
	tests/unit/service/rest_test.c \
	tests/unit/service/route_test.c \
	tests/unit/service/rpc_test.c \
	tests/unit/service/service_test.c \
	tests/unit/service/service_tests.h \
	tests/unit/service/template_test.c \
	tests/unit/service/watch_test.c \
	tests/unit/service/web_test.c \
	tests/unit/service/world.c \
	tests/lib/fake_images.c \
	tests/lib/fake_images.h \
	tests/lib/fake_sandboxes.c \
	tests/lib/fake_sandboxes.h \
	tests/lib/tmpdir.h \
	tests/lib/test.h
tests_unit_service_service_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS) -D_GNU_SOURCE \
	-DTOP_SRCDIR=\"$(abs_top_srcdir)\"
tests_unit_service_service_test_LDADD = libservice.a librpc.a libwire.a libio.a libimage.a \
	libstore.a libproto.a libloop.a libbase.a $(NGHTTP2_LIBS) $(HTTP_PARSER_LIBS) \
	$(PROTOBUF_C_LIBS) $(SQLITE_LIBS) $(YAML_LIBS) $(EVENT_LIBS) $(OPENSSL_LIBS) \
	$(JANSSON_LIBS) $(CHECK_LIBS)
$(tests_unit_service_service_test_OBJECTS): $(PROTO_H) proto/descriptors.h
