# Shared by all tests: "lib/test.h" and the fakes.
TEST_CPPFLAGS = -I$(top_srcdir)/tests
EXTRA_DIST += tests/lib/test.h tests/run_all
include tests/lib/proto.mk
