# src/sandbox
noinst_LIBRARIES += libsandbox.a
libsandbox_a_SOURCES = \
	src/sandbox/create.c \
	src/sandbox/events.c \
	src/sandbox/expiry.c \
	src/sandbox/identity.c \
	src/sandbox/object.c \
	src/sandbox/object.h \
	src/sandbox/op_adopt.c \
	src/sandbox/op_boot.c \
	src/sandbox/op_destroy.c \
	src/sandbox/op_hand_out.c \
	src/sandbox/op_pause.c \
	src/sandbox/op_resume.c \
	src/sandbox/op_warm.c \
	src/sandbox/pool.c \
	src/sandbox/recover.c \
	src/sandbox/registry.c \
	src/sandbox/room.c \
	src/sandbox/sandbox.h \
	src/sandbox/state.c \
	src/sandbox/team.c \
	src/sandbox/usage.c \
	src/sandbox/wait.c
