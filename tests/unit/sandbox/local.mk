SANDBOX_WORLD = \
	tests/lib/fake_guest.c \
	tests/lib/fake_guest.h \
	tests/lib/fake_vmm.c \
	tests/lib/fake_vmm.h \
	tests/lib/sandbox_world.c \
	tests/lib/sandbox_world.h \
	tests/lib/test.h \
	tests/lib/tmpdir.h
SANDBOX_WORLD_LIBS = libsandbox.a libstore.a libimage.a libloop.a libbase.a $(SQLITE_LIBS) \
	$(YAML_LIBS) $(EVENT_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/sandbox/sandbox_test
TESTS += tests/unit/sandbox/sandbox_test
tests_unit_sandbox_sandbox_test_SOURCES = \
	tests/unit/sandbox/clone_test.c \
	tests/unit/sandbox/hold.c \
	tests/unit/sandbox/lifecycle_test.c \
	tests/unit/sandbox/list_test.c \
	tests/unit/sandbox/memory_test.c \
	tests/unit/sandbox/pause_test.c \
	tests/unit/sandbox/pool_test.c \
	tests/unit/sandbox/recover_test.c \
	tests/unit/sandbox/sandbox_test.c \
	tests/unit/sandbox/sandbox_tests.h \
	tests/unit/sandbox/steps_test.c \
	$(SANDBOX_WORLD)
tests_unit_sandbox_sandbox_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_sandbox_sandbox_test_LDADD = $(SANDBOX_WORLD_LIBS)
