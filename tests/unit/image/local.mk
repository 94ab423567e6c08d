check_PROGRAMS += tests/unit/image/image_test
TESTS += tests/unit/image/image_test
tests_unit_image_image_test_SOURCES = \
	tests/unit/image/image_test.c \
	tests/unit/image/image_tests.h \
	tests/unit/image/kernel_test.c \
	tests/unit/image/template_test.c \
	tests/unit/image/yaml_test.c \
	tests/lib/tmpdir.h \
	tests/lib/test.h
tests_unit_image_image_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS) -DTOP_SRCDIR=\"$(abs_top_srcdir)\"
tests_unit_image_image_test_LDADD = libimage.a libjail.a libbase.a $(SECCOMP_LIBS) $(YAML_LIBS) \
	$(JANSSON_LIBS) $(CRYPTO_LIBS) $(CHECK_LIBS)
