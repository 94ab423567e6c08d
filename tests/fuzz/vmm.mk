FUZZ_TARGETS += tests/fuzz/firecracker_fuzz
tests_fuzz_firecracker_fuzz_SOURCES = tests/fuzz/firecracker_fuzz.c $(FUZZ_MAIN)
tests_fuzz_firecracker_fuzz_LDADD = libvmm.a libbase.a $(JANSSON_LIBS)
tests_fuzz_firecracker_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
