# src/io
noinst_LIBRARIES += libio.a
libio_a_SOURCES = \
	src/io/address.c \
	src/io/address.h \
	src/io/listener.c \
	src/io/listener.h \
	src/io/stream.c \
	src/io/stream.h \
	src/io/tls.c \
	src/io/tls.h \
	src/io/tls_ctx.h \
	src/io/tls_session.c \
	src/io/tls_session.h
