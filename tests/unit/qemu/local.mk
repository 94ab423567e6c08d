check_PROGRAMS += tests/unit/qemu/qemu_test
TESTS += tests/unit/qemu/qemu_test
tests_unit_qemu_qemu_test_SOURCES = \
	tests/unit/qemu/args_test.c \
	tests/unit/qemu/driver_test.c \
	tests/unit/qemu/manifest_test.c \
	tests/unit/qemu/memory_test.c \
	tests/unit/qemu/qemu_test.c \
	tests/unit/qemu/qemu_tests.h \
	tests/unit/qemu/qmp_test.c
tests_unit_qemu_qemu_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_qemu_qemu_test_LDADD = libvmm.a liblauncher.a libhostnet.a libimage.a libjail.a libloop.a libbase.a \
	$(NFTABLES_LIBS) $(SECCOMP_LIBS) $(YAML_LIBS) $(EVENT_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) \
	$(CHECK_LIBS)
