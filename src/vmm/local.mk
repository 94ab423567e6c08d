noinst_LIBRARIES += libvmm.a
libvmm_a_SOURCES = \
	src/vmm/answer.c src/vmm/answer.h \
	src/vmm/drivers.c src/vmm/vmm.h \
	src/vmm/images.c src/vmm/images.h \
	src/vmm/namespace/driver.c \
	src/vmm/namespace/namespace.h \
	src/vmm/namespace/probe.c \
	src/vmm/qemu/create.c \
	src/vmm/qemu/driver.c \
	src/vmm/qemu/inst.c \
	src/vmm/qemu/known.c \
	src/vmm/qemu/power.c \
	src/vmm/qemu/probe.c \
	src/vmm/qemu/qemu.h \
	src/vmm/qemu/qmp.c src/vmm/qemu/qmp.h
