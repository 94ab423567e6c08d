noinst_LIBRARIES += libvmm.a
libvmm_a_SOURCES = \
	src/vmm/answer.c src/vmm/answer.h \
	src/vmm/drivers.c src/vmm/vmm.h \
	src/vmm/namespace/driver.c \
	src/vmm/namespace/namespace.h \
	src/vmm/namespace/probe.c
