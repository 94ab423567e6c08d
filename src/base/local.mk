noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	src/base/buf.c src/base/buf.h \
	src/base/clock.c src/base/clock.h \
	src/base/err.c src/base/err.h \
	src/base/fdutil.c src/base/fdutil.h \
	src/base/hash.c src/base/hash.h \
	src/base/id.c src/base/id.h \
	src/base/json.c src/base/json.h \
	src/base/limits.h \
	src/base/list.h \
	src/base/log.c src/base/log.h \
	src/base/map.c src/base/map.h \
	src/base/meminfo.c \
	src/base/meminfo.h \
	src/base/mem.c src/base/mem.h \
	src/base/path.c src/base/path.h \
	src/base/str.c src/base/str.h \
	src/base/unit.c src/base/unit.h
