check_PROGRAMS += tests/unit/doctor/doctor_test
TESTS += tests/unit/doctor/doctor_test
tests_unit_doctor_doctor_test_SOURCES = \
	tests/unit/doctor/checks_test.c \
	tests/unit/doctor/child_test.c \
	tests/unit/doctor/doctor_test.c \
	tests/unit/doctor/doctor_tests.h \
	tests/unit/doctor/report_test.c
tests_unit_doctor_doctor_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_doctor_doctor_test_LDADD = libdoctor.a libvmm.a libhostnet.a libjail.a libbase.a \
	$(SECCOMP_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) $(CHECK_LIBS)
