sbin_PROGRAMS += sandglassd
sandglassd_SOURCES = \
	src/daemon/args.c src/daemon/args.h \
	src/daemon/backoff.c src/daemon/backoff.h \
	src/daemon/config.c src/daemon/config.h \
	src/daemon/examine.c src/daemon/examine.h \
	src/daemon/keys.c src/daemon/keys.h \
	src/daemon/layout.c src/daemon/layout.h \
	src/daemon/main.c \
	src/daemon/roles.c src/daemon/roles.h \
	src/daemon/worker.c
sandglassd_CPPFLAGS = $(AM_CPPFLAGS) -DSANDGLASS_DATADIR='"$(pkgdatadir)"' \
	-DSANDGLASS_LIBEXECDIR='"$(libexecdir)"'
sandglassd_LDADD = libdoctor.a libservice.a libsandbox.a libguest.a libvmm.a liblauncher.a libhostnet.a libimage.a libstore.a \
	librpc.a libwire.a libio.a libjail.a libloop.a libbase.a libproto.a \
	$(EVENT_LIBS) $(NGHTTP2_LIBS) $(HTTP_PARSER_LIBS) $(PROTOBUF_C_LIBS) $(OPENSSL_LIBS) \
	$(JANSSON_LIBS) $(SQLITE_LIBS) $(YAML_LIBS) $(SECCOMP_LIBS)
