# Real sandboxes: make check-system, as root.
EXTRA_PROGRAMS += $(SYSTEM_TESTS) $(VM_TESTS) tests/system/probe_init tests/system/vm_init
SYSTEM_TESTS = tests/system/hostnet/hostnet_test tests/system/build_test tests/system/system_test
# Need a guest kernel: SANDGLASS_TEST_KERNEL, a directory that a template's build made.
VM_TESTS = tests/system/guest/guest_system_test tests/system/qemu_test

tests_system_probe_init_SOURCES = tests/system/probe_init.c
tests_system_probe_init_CFLAGS = -std=gnu17 -Wall -Wextra -Wno-unused-parameter -O2
tests_system_probe_init_LDFLAGS = -static

tests_system_system_test_SOURCES = \
	tests/system/driver_test.c \
	tests/system/escape_test.c \
	tests/system/fault_test.c \
	tests/system/image_test.c \
	tests/system/firecracker_test.c \
	tests/system/lifecycle_test.c \
	tests/system/limit_test.c \
	tests/system/network_test.c \
	tests/system/recovery_test.c \
	tests/system/rig.c tests/system/rig.h \
	tests/system/seen.c tests/system/seen.h \
	tests/system/shell_base.h \
	tests/system/system_test.c tests/system/system_tests.h
tests_system_system_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS) -I$(top_srcdir)/tests/system
tests_system_system_test_LDADD = libvmm.a liblauncher.a libhostnet.a libimage.a libjail.a libloop.a libbase.a \
	$(NFTABLES_LIBS) $(SECCOMP_LIBS) $(YAML_LIBS) $(EVENT_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) \
	$(CHECK_LIBS)

tests_system_build_test_SOURCES = tests/system/build_test.c tests/system/shell_base.h
tests_system_build_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS) -I$(top_srcdir)/tests/system
tests_system_build_test_LDADD = libimage.a libjail.a libbase.a $(SECCOMP_LIBS) $(YAML_LIBS) $(JANSSON_LIBS) \
	$(CRYPTO_LIBS) $(CHECK_LIBS)

tests_system_hostnet_hostnet_test_SOURCES = tests/system/hostnet/hostnet_test.c
tests_system_hostnet_hostnet_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_system_hostnet_hostnet_test_LDADD = libhostnet.a libbase.a $(NFTABLES_LIBS) $(CHECK_LIBS)

tests_system_vm_init_SOURCES = tests/system/vm_init.c
tests_system_vm_init_CFLAGS = $(tests_system_probe_init_CFLAGS)
tests_system_vm_init_LDFLAGS = -static

tests_system_qemu_test_SOURCES = \
	tests/system/qemu_end_test.c tests/system/qemu_system_tests.h \
	tests/system/qemu_rig.c tests/system/qemu_rig.h \
	tests/system/qemu_test.c \
	tests/system/rig.c tests/system/rig.h
tests_system_qemu_test_CPPFLAGS = $(tests_system_system_test_CPPFLAGS)
tests_system_qemu_test_LDADD = $(tests_system_system_test_LDADD)

tests_system_guest_guest_system_test_SOURCES = \
	tests/system/guest/guest_system_test.c \
	tests/system/guest/machine.c tests/system/guest/machine.h \
	tests/system/guest/relay.c tests/system/guest/relay.h
tests_system_guest_guest_system_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS) \
	-I$(top_srcdir)/tests/system
tests_system_guest_guest_system_test_LDADD = libguest.a librpc.a libimage.a libio.a libwire.a libloop.a \
	libbase.a $(EVENT_LIBS) $(OPENSSL_LIBS) $(NGHTTP2_LIBS) $(HTTP_PARSER_LIBS) \
	$(PROTOBUF_C_LIBS) $(JANSSON_LIBS) $(YAML_LIBS) $(CHECK_LIBS)

.PHONY: check-system check-vms
check-system: $(SYSTEM_TESTS) tests/system/probe_init tests/lib/fake_firecracker/firecracker \
		tests/lib/fake_firecracker/jailer sandglass-launcher sandglass-agent
	@if test "`id -u`" != 0; then echo "check-system: must be run as root"; exit 1; fi; \
	failed=0; \
	for t in $(SYSTEM_TESTS); do ./$$t || failed=1; done; \
	exit $$failed

check-vms: $(VM_TESTS) tests/system/probe_init tests/system/vm_init sandglass-launcher sandglass-agent
	@if test "`id -u`" != 0; then echo "check-vms: must be run as root"; exit 1; fi; \
	if test ! -r "$$SANDGLASS_TEST_KERNEL/vmlinux"; then \
		echo "check-vms: SANDGLASS_TEST_KERNEL must name a directory with vmlinux and modules/"; exit 1; fi; \
	failed=0; \
	for t in $(VM_TESTS); do ./$$t || failed=1; done; \
	exit $$failed
