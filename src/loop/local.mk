noinst_LIBRARIES += libloop.a
libloop_a_SOURCES = \
	src/loop/loop.c src/loop/loop.h \
	src/loop/op.c src/loop/op.h \
	src/loop/timers.c src/loop/timers.h \
	src/loop/work.c src/loop/work.h
