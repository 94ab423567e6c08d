# src/store
noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = \
	src/store/db.c \
	src/store/db.h \
	src/store/key_read.c \
	src/store/keys.c \
	src/store/queue.c \
	src/store/queue.h \
	src/store/sandboxes.c \
	src/store/schema.c \
	src/store/store.c \
	src/store/store.h \
	src/store/teams.c
