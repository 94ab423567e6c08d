check_PROGRAMS += tests/unit/vmm/vmm_test
TESTS += tests/unit/vmm/vmm_test
tests_unit_vmm_vmm_test_SOURCES = \
	tests/lib/fake_launcher.c tests/lib/fake_launcher.h \
	tests/unit/vmm/fc_api_test.c \
	tests/unit/vmm/fc_create_test.c \
	tests/unit/vmm/fc_fake_test.c \
	tests/unit/vmm/fc_parts_test.c \
	tests/unit/vmm/fc_power_test.c \
	tests/unit/vmm/fc_rig.c tests/unit/vmm/fc_rig.h \
	tests/unit/vmm/machine_test.c \
	tests/unit/vmm/vmm_test.c tests/unit/vmm/vmm_tests.h
tests_unit_vmm_vmm_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_vmm_vmm_test_LDADD = libvmm.a libloop.a libbase.a $(EVENT_LIBS) $(JANSSON_LIBS) \
	$(CRYPTO_LIBS) $(CHECK_LIBS)
# It runs them.
EXTRA_tests_unit_vmm_vmm_test_DEPENDENCIES = tests/lib/fake_firecracker/firecracker \
	tests/lib/fake_firecracker/jailer
