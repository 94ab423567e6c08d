# src/guest
noinst_LIBRARIES += libguest.a
libguest_a_SOURCES = \
	src/guest/call.c \
	src/guest/call.h \
	src/guest/channel.c \
	src/guest/channel.h \
	src/guest/guest.c \
	src/guest/guest.h \
	src/guest/watch.c \
	src/guest/watch.h
