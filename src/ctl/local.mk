bin_PROGRAMS += sandglass
sandglass_SOURCES = \
	src/ctl/create.c \
	src/ctl/ctl.c src/ctl/ctl.h \
	src/ctl/ls_kill.c \
	src/ctl/main.c \
	src/ctl/run.c \
	src/ctl/server_machine.c \
	src/ctl/template.c
sandglass_LDADD = librpc.a libwire.a libio.a libloop.a libbase.a libproto.a \
	$(EVENT_LIBS) $(NGHTTP2_LIBS) $(HTTP_PARSER_LIBS) $(PROTOBUF_C_LIBS) $(OPENSSL_LIBS) $(JANSSON_LIBS)
