# Shared by all tests: "lib/test.h" and the fakes.
TEST_CPPFLAGS = -I$(top_srcdir)/tests
EXTRA_DIST += tests/lib/test.h tests/run_all
include tests/lib/proto.mk
# Stand-ins for Firecracker and its jailer; static, as they run in a root with nothing else in it.
EXTRA_PROGRAMS += tests/lib/fake_firecracker/firecracker tests/lib/fake_firecracker/jailer
CLEANFILES += tests/lib/fake_firecracker/firecracker tests/lib/fake_firecracker/jailer
tests_lib_fake_firecracker_firecracker_SOURCES = \
	tests/lib/fake_firecracker/api.c \
	tests/lib/fake_firecracker/fake.h \
	tests/lib/fake_firecracker/guest.c \
	tests/lib/fake_firecracker/http.c \
	tests/lib/fake_firecracker/main.c \
	tests/lib/fake_firecracker/resources.c \
	tests/lib/fake_firecracker/schema.c \
	tests/lib/fake_firecracker/script.c \
	tests/lib/fake_firecracker/snapshot.c \
	tests/lib/fake_firecracker/vsock.c
tests_lib_fake_firecracker_firecracker_CFLAGS = -std=gnu17 -Wall -Wextra -O1
tests_lib_fake_firecracker_firecracker_LDFLAGS = -static
tests_lib_fake_firecracker_firecracker_LDADD = $(JANSSON_LIBS)
tests_lib_fake_firecracker_jailer_SOURCES = tests/lib/fake_firecracker/jailer.c
tests_lib_fake_firecracker_jailer_CFLAGS = -std=gnu17 -Wall -Wextra -O1
