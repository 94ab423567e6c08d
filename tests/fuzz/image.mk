FUZZ_TARGETS += tests/fuzz/yaml_fuzz
tests_fuzz_yaml_fuzz_SOURCES = tests/fuzz/yaml_fuzz.c $(FUZZ_MAIN)
tests_fuzz_yaml_fuzz_LDADD = libimage.a libbase.a $(YAML_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS)
tests_fuzz_yaml_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TARGETS += tests/fuzz/vmlinux_fuzz
tests_fuzz_vmlinux_fuzz_SOURCES = tests/fuzz/vmlinux_fuzz.c $(FUZZ_MAIN)
tests_fuzz_vmlinux_fuzz_LDADD = libimage.a libbase.a
tests_fuzz_vmlinux_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
